/** What peaks are made of: by category and owner, by phase, and beside what was predicted. */

import { categoryColour, type Scheme } from "./colour";
import { printable } from "./data";
import { button, el, styled } from "./dom";
import type { Facts } from "./facts";
import { clip, formatBytes, formatCount, formatShare, NONE } from "./format";

const WIDE_SHARE = 0.14;
const MOST_OWNERS = 6;

interface Part {
  readonly category: string;
  readonly bytes: number;
}

interface Peak {
  readonly phase: string;
  readonly space: string;
  readonly bytes: number;
  readonly parts: Part[];
  readonly others: number;
}

export function peaksOf(list: readonly Facts[]): Peak[] {
  return list.map((peak) => ({
    phase: clip(printable(peak.at("phase").text ?? "unknown"), 40),
    space: printable(peak.at("space").text ?? ""),
    bytes: peak.at("peak_bytes").number ?? 0,
    parts: peak.at("parts").list.map((part) => ({
      category: printable(part.at("category").text ?? "other"),
      bytes: part.at("bytes").number ?? 0,
    })),
    others: peak.at("other_processes_bytes").number ?? 0,
  }));
}

/** The run's highest peak in one space. `open` is null where there is no graph of it. */
export function drawPeak(facts: Facts, scheme: Scheme, open: ((peak: Peak) => void) | null): HTMLElement {
  const [peak] = peaksOf([facts]);
  const link = open === null ? null : button("As a flame graph", { class: "quiet open" }, () => open(peak));
  const note =
    peak.others > 0
      ? el("p", { class: "remark" }, `Other processes hold ${formatBytes(peak.others)}.`)
      : null;
  return el(
    "section",
    { class: "made-of" },
    el(
      "h3",
      {},
      `${peak.space === "device" ? "Device" : "Host"} peak `,
      el("b", {}, formatBytes(peak.bytes)),
      el("small", {}, ` in ${peak.phase}`),
      link,
    ),
    stack(peak, scheme),
    ...peak.parts.map((part) => holder(part, peak, facts.at("owners", part.category).list, scheme)),
    note,
  );
}

/** What holders say too much can't be drawn: it is only in the list. */
function stack({ parts }: Peak, scheme: Scheme): HTMLElement {
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const whole = parts.reduce((sum, { bytes }) => sum + Math.max(0, bytes), 0);
  for (const { category, bytes } of parts) {
    if (bytes <= 0) continue;
    const part = el("div", { class: "part", title: `${category}: ${formatBytes(bytes)}` });
    styled(styled(part, "flex-grow", String(bytes / whole)), "background", categoryColour(category, scheme));
    if (bytes / whole > WIDE_SHARE) part.append(el("span", {}, category));
    bar.append(part);
  }
  return bar;
}

function holder(part: Part, peak: Peak, owners: readonly Facts[], scheme: Scheme): HTMLElement {
  const colour = categoryColour(part.category, scheme);
  const row = [
    styled(el("i", { class: "swatch" }), "background", colour),
    el("span", { class: "name" }, clip(part.category, 60)),
    el("b", {}, signed(part.bytes, formatBytes)),
    el("small", {}, peak.bytes > 0 ? signed(part.bytes / peak.bytes, formatShare) : NONE),
  ];
  const named = owners.filter((owner) => owner.at("owner").text !== null).slice(0, MOST_OWNERS);
  if (named.length === 0) return el("div", { class: "holder" }, ...row);
  const items = named.map((owner) => {
    const count = owner.at("count").number ?? 1;
    const name = clip(printable(owner.at("owner").text ?? ""), 120);
    const times = count > 1 ? ` × ${formatCount(count)}` : "";
    return el(
      "li",
      {},
      el("span", {}, name + times),
      el("b", {}, signed(owner.at("bytes").number ?? 0, formatBytes)),
    );
  });
  const unnamed = owners.length - named.length;
  if (unnamed > 0) items.push(el("li", {}, el("small", {}, `and ${formatCount(unnamed)} more`)));
  return el(
    "details",
    { class: "owners" },
    el("summary", { class: "holder" }, ...row),
    el("ul", {}, ...items),
  );
}

/** Holders may say too much: then the rest is less than nothing. */
function signed(value: number, format: (value: number) => string): string {
  return value < 0 ? `−${format(-value)}` : format(value);
}

/** Each phase has its categories in one order, of which it may leave some out. */
function columnsOf(peaks: readonly Peak[]): string[] {
  const columns: string[] = [];
  for (const { parts } of peaks) {
    parts.forEach(({ category }, at) => {
      if (columns.includes(category)) return;
      columns.splice(at === 0 ? 0 : columns.indexOf(parts[at - 1].category) + 1, 0, category);
    });
  }
  return columns;
}

/** Phases by categories: null where nobody counted. */
export function drawTable(peaks: readonly Peak[], scheme: Scheme): HTMLElement | null {
  if (peaks.length === 0) return null;
  const columns = columnsOf(peaks);
  const spaces = new Set(peaks.map(({ space }) => space)).size > 1;
  const head = columns.map((category) => {
    const swatch = styled(el("i", { class: "swatch" }), "background", categoryColour(category, scheme));
    return el("th", { scope: "col" }, swatch, ` ${clip(category, 40)}`);
  });
  const rows = peaks.map((peak) => {
    const cells = columns.map((category) => {
      const part = peak.parts.find((one) => one.category === category);
      return el("td", {}, part === undefined ? NONE : signed(part.bytes, formatBytes));
    });
    const name = el("th", { scope: "row" }, peak.phase, spaces ? el("small", {}, ` ${peak.space}`) : null);
    return el("tr", {}, name, el("td", { class: "whole" }, formatBytes(peak.bytes)), ...cells);
  });
  const line = el("tr", {}, el("td"), el("th", { scope: "col" }, "peak"), ...head);
  return folded("Each phase's peak", el("table", {}, el("thead", {}, line), el("tbody", {}, ...rows)));
}

/** Null where nothing was predicted. */
export function drawPredictions(list: readonly Facts[], scheme: Scheme): HTMLElement | null {
  if (list.length === 0) return null;
  const most = Math.max(
    1,
    ...list.flatMap((row) => [row.at("predicted_bytes").number ?? 0, row.at("measured_bytes").number ?? 0]),
  );
  const body = list.map((row) => {
    const category = printable(row.at("category").text ?? "other");
    const error = row.at("error").number;
    const bars = (["predicted_bytes", "measured_bytes"] as const).map((name) => {
      const width = Math.max(0, row.at(name).number ?? 0) / most;
      const bar = styled(el("span", { class: name }), "background", categoryColour(category, scheme));
      return styled(bar, "width", `${width * 100}%`);
    });
    const place = `${printable(row.at("phase").text ?? "")}, ${printable(row.at("space").text ?? "")}`;
    return el(
      "tr",
      { title: clip(printable(row.at("formula").text ?? ""), 400) },
      el("th", { scope: "row" }, clip(category, 40), el("small", {}, ` ${clip(place, 60)}`)),
      el("td", { class: "bars", "aria-hidden": "true" }, ...bars),
      el("td", {}, row.at("predicted_bytes").bytes),
      el("td", {}, row.at("measured_bytes").bytes),
      el("td", {}, error === null ? NONE : (error > 0 ? "+" : "") + signed(error, formatShare)),
    );
  });
  const head = ["", "", "predicted", "measured", "off by"].map((label) =>
    label === "" ? el("td") : el("th", { scope: "col" }, label),
  );
  return el(
    "section",
    { class: "predictions" },
    el("h3", {}, "Predicted and measured"),
    scrolled(el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body))),
  );
}

function folded(title: string, content: HTMLElement): HTMLElement {
  return el("details", { class: "wide" }, el("summary", {}, title), scrolled(content));
}

/** Wider than a small screen: it moves, the page doesn't. */
function scrolled(content: HTMLElement): HTMLElement {
  return el("div", { class: "scrolled", tabindex: "0" }, content);
}
