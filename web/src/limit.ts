/** How far each phase is from what the hardware allows, and what the time above that went into. */

import { partColour, type Scheme } from "./colour";
import { printable } from "./data";
import { el, styled } from "./dom";
import type { Facts } from "./facts";
import { clip, formatCount, formatNs, formatShare, formatTimes, NONE } from "./format";

const SAID_SHARE = 0.005;
const WIDE_SHARE = 0.16;
const KNOWN_LIMIT = 0.95;

const WORDS: Record<string, string> = {
  floor: "floor",
  "launch gaps": "launch gaps",
  synchronisation: "waits",
  copies: "copies",
  "element-wise": "element-wise operators",
  "low occupancy": "small grids",
  other: "kernels above their floor",
};
const WORDS_ON_CPU: Record<string, string> = {
  ...WORDS,
  "launch gaps": "Python and dispatch",
  other: "operators above their floor",
};

export interface Part {
  readonly name: string;
  readonly words: string;
  /** Of one step. */
  readonly seconds: number;
  /** Of the step. */
  readonly share: number;
}

export interface Limit {
  readonly phase: string;
  readonly steps: number;
  /** Of one step, as all times here. */
  readonly wall: number | null;
  readonly floor: number | null;
  readonly mbu: number | null;
  readonly mfu: number | null;
  /** Whether MBU and MFU are of the machine's own ceilings, not of its maker's. */
  readonly measured: boolean;
  readonly known: number | null;
  readonly parts: Part[];
}

/** Empty where nothing is known about any operator's work. */
export function limitsOf(facts: Facts): Limit[] {
  const onDevice = facts.at("device", "idle_s").number !== null;
  const rows = facts.at("roofline").list.map((row) => limitOf(row, onDevice));
  return rows.every(({ known }) => known === null) ? [] : rows;
}

function limitOf(row: Facts, onDevice: boolean): Limit {
  const steps = Math.max(1, row.at("steps").number ?? 1);
  const wall = row.at("wall_s").number;
  const each = (value: number | null): number | null => (value === null ? null : value / steps);
  const used = (name: string): number | null => row.at(name).number ?? row.at(`${name}_published`).number;
  const parts = row.at("parts_s").entries.map(([name, own]): Part => {
    const seconds = Math.max(0, own.number ?? 0);
    const words = (onDevice ? WORDS : WORDS_ON_CPU)[name] ?? clip(printable(name), 40);
    return { name, words, seconds: seconds / steps, share: wall ? seconds / wall : 0 };
  });
  return {
    phase: clip(printable(row.at("phase").text ?? "unknown"), 40),
    steps,
    wall: each(wall),
    floor: each(row.at("floor_s").number),
    mbu: used("mbu"),
    mfu: used("mfu"),
    measured: row.at("mbu").number !== null || row.at("mfu").number !== null,
    known: row.at("known_share").number,
    parts: parts.filter(({ share }) => share > 0),
  };
}

export function drawLimit(place: HTMLElement, facts: Facts, scheme: Scheme): void {
  const limits = limitsOf(facts);
  place.hidden = limits.length === 0;
  if (place.hidden) return;
  const head = ["A step of", "takes", "floor", "× floor", "MBU", "MFU"].map((label) =>
    el("th", { scope: "col" }, label),
  );
  place.replaceChildren(
    el("h2", { id: "limit-title" }, "How far from the limit"),
    el("table", {}, el("thead", {}, el("tr", {}, ...head)), ...limits.map((one) => body(one, scheme))),
    ...notes(limits, facts).map((words) => el("p", { class: "remark" }, words)),
  );
}

function body(one: Limit, scheme: Scheme): HTMLElement {
  const time = (seconds: number | null): string => (seconds === null ? NONE : formatNs(seconds * 1e9));
  const share = (value: number | null): string => (value === null ? NONE : formatShare(value));
  const ratio = one.wall !== null && one.floor ? formatTimes(one.wall / one.floor) : NONE;
  const count = one.steps > 1 ? `${formatCount(one.steps)} steps` : null;
  const cells = [
    el("td", { class: "step" }, time(one.wall)),
    el("td", {}, time(one.floor)),
    el("td", {}, ratio),
    el("td", {}, share(one.mbu)),
    el("td", {}, share(one.mfu)),
  ];
  const name = el("th", { scope: "row" }, one.phase, count === null ? null : el("small", {}, count));
  return el(
    "tbody",
    {},
    el("tr", {}, name, ...cells),
    el("tr", {}, el("td", { colspan: "6", class: "parts" }, bar(one, scheme), words(one, scheme))),
  );
}

function bar(one: Limit, scheme: Scheme): HTMLElement {
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  for (const part of one.parts) {
    const item = el("div", { class: "part", title: `${part.words}: ${formatShare(part.share)}` });
    styled(styled(item, "flex-grow", String(part.share)), "background", partColour(part.name, scheme));
    if (part.share > WIDE_SHARE) item.append(el("span", {}, part.words));
    bar.append(item);
  }
  return bar;
}

function words(one: Limit, scheme: Scheme): HTMLElement {
  const said = one.parts.filter(({ name, share }) => name === "floor" || share >= SAID_SHARE);
  const items = said.map((part) =>
    el(
      "li",
      {},
      styled(el("i", { class: "swatch" }), "background", partColour(part.name, scheme)),
      `${part.words} `,
      el("b", {}, formatNs(part.seconds * 1e9)),
      el("small", {}, formatShare(part.share)),
    ),
  );
  return el("ul", {}, ...items);
}

function notes(limits: Limit[], facts: Facts): string[] {
  const found = [];
  const idle = facts.at("device", "idle_share").number;
  if (idle !== null) found.push(idleWords(idle, facts.at("device", "idle_by_cause_s")));
  if (limits.every(({ floor }) => floor === null)) {
    found.push("No ceiling of this machine is known: llmflame machine --measure, before recording.");
    return found;
  }
  const whose = limits.some(({ measured }) => measured)
    ? "what this machine was measured to reach"
    : "the figures that the device's maker publishes";
  found.push(
    "Floor: the least time that the hardware needs for matrix products, attention and embeddings. " +
      `MBU, MFU: memory bandwidth and matrix-product rate in use, of ${whose}.`,
  );
  const known = Math.min(...limits.map(({ known }) => known ?? 1));
  if (known < KNOWN_LIMIT)
    found.push(
      `The work is known of operators with ${formatShare(known)} of the time; floors leave out the rest.`,
    );
  return found;
}

function idleWords(share: number, causes: Facts): string {
  const named = causes.entries
    .map(([cause, own]): [string, number] => [clip(printable(cause), 40), own.number ?? 0])
    .filter(([, seconds]) => seconds > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([cause, seconds]) => `${cause} ${formatNs(seconds * 1e9)}`);
  const why = named.length === 0 ? "" : `: ${named.join(", ")}`;
  return `The GPU is idle for ${formatShare(share)} of prefill and decode${why}.`;
}
