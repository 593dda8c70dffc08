/** The bar of phases: where the wall time went, and the way into each phase. */

import { phaseColour, type Scheme } from "./colour";
import { printable } from "./data";
import { button, el, styled } from "./dom";
import type { Facts } from "./facts";
import { formatBytes, formatNs, formatShare, NONE } from "./format";
import type { CallTree } from "./tree";

export interface Phase {
  name: string;
  /** Its node in the tree, or -1. */
  node: number;
  seconds: number | null;
  share: number | null;
  host: number | null;
  device: number | null;
}

/** The summary's phases, or the tree's where the summary has none. */
export function phasesOf(facts: Facts, tree: CallTree, wall: number): Phase[] {
  const nodes = new Map<string, number>();
  for (const node of tree.children(0)) {
    const frame = tree.frame(node);
    if (frame.kind === "phase" && !nodes.has(frame.name)) nodes.set(frame.name, node);
  }
  const phases = facts.at("phases").list.map((item): Phase => {
    const name = printable(item.at("name").text ?? "unknown");
    return {
      name,
      node: nodes.get(name) ?? -1,
      seconds: item.at("wall_s").number,
      share: item.at("share").number,
      host: item.at("host_peak_bytes").number,
      device: item.at("device_peak_bytes").number,
    };
  });
  if (phases.length === 0 && wall >= 0) {
    const total = tree.total(wall);
    for (const [name, node] of nodes) {
      phases.push({ name, node, seconds: total[node] / 1e9, share: null, host: null, device: null });
    }
  }
  const whole = phases.reduce((sum, phase) => sum + (phase.seconds ?? 0), 0);
  for (const phase of phases) {
    if (phase.share === null && phase.seconds !== null && whole > 0) phase.share = phase.seconds / whole;
  }
  return phases;
}

export function drawPhases(
  place: HTMLElement,
  phases: readonly Phase[],
  scheme: Scheme,
  current: string | null,
  pick: (phase: Phase) => void,
): void {
  place.hidden = phases.length === 0;
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const cards = el("ol", { class: "cards" });
  for (const phase of phases) {
    const colour = phaseColour(phase.name, scheme);
    const share = phase.share ?? 0;
    if (share > 0) {
      const part = el("div", { class: "part", title: `${phase.name}: ${formatShare(share)}` });
      styled(styled(part, "flex-grow", String(share)), "background", colour);
      if (share > 0.05) part.append(el("span", {}, phase.name));
      if (phase.node >= 0) part.addEventListener("click", () => pick(phase));
      bar.append(part);
    }
    cards.append(el("li", {}, card(phase, colour, phase.name === current, pick)));
  }
  place.replaceChildren(bar, cards);
}

function card(phase: Phase, colour: string, current: boolean, pick: (phase: Phase) => void): HTMLElement {
  const time = phase.seconds === null ? NONE : formatNs(phase.seconds * 1e9);
  const share = phase.share === null ? NONE : formatShare(phase.share);
  const host = phase.host === null ? NONE : formatBytes(phase.host);
  const device = phase.device === null ? null : formatBytes(phase.device);
  const element = button("", { class: "card", "aria-pressed": String(current) }, () => pick(phase));
  element.disabled = phase.node < 0;
  element.title = phase.node < 0 ? "Not in the tree" : `Zoom to ${phase.name}`;
  element.append(
    el("span", { class: "name" }, styled(el("i", { class: "swatch" }), "background", colour), phase.name),
    el("span", { class: "time" }, time, el("small", {}, share)),
    el(
      "span",
      { class: "peak", title: "Peak memory" },
      device === null ? `peak ${host}` : `peak ${host}, GPU ${device}`,
    ),
  );
  return element;
}
