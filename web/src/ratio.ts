/** Colours by share of roofline: the least time that the hardware allows, over the time that it took. */

import type { Scheme } from "./colour";
import type { Colouring } from "./colouring";
import type { CallTree } from "./tree";

/** From far below the limit to at it; lightness alone tells them apart, whatever colours an eye can see. */
const BINS: readonly { least: number; label: string }[] = [
  { least: 0, label: "below 1 %" },
  { least: 0.01, label: "1 to 3 %" },
  { least: 0.03, label: "3 to 10 %" },
  { least: 0.1, label: "10 to 30 %" },
  { least: 0.3, label: "30 to 60 %" },
  { least: 0.6, label: "60 % and more" },
];
/** They run for the operator above them, whose floor is theirs. */
const SERVING = new Set(["op", "kernel", "copy", "runtime", "wait"]);
const NO_FLOOR = "no floor known";

/** Strong is far from the limit: [lightness, chroma, hue] of each bin. */
const SCALE: Record<Scheme, readonly (readonly [number, number, number])[]> = {
  light: [
    [0.66, 0.16, 38],
    [0.725, 0.145, 50],
    [0.785, 0.13, 62],
    [0.84, 0.105, 76],
    [0.895, 0.08, 92],
    [0.95, 0.05, 108],
  ],
  dark: [
    [0.52, 0.15, 38],
    [0.47, 0.12, 50],
    [0.42, 0.1, 62],
    [0.37, 0.08, 76],
    [0.325, 0.06, 92],
    [0.28, 0.045, 108],
  ],
};
const NEUTRAL: Record<Scheme, string> = { light: "oklch(0.90 0.004 250)", dark: "oklch(0.34 0.004 250)" };

/** The part of its time that a node could not do without; null where no floor or no time is known. */
export function shareOfRoofline(tree: CallTree, node: number): number | null {
  return ratio(tree.total(tree.metric("floor_ns"))[node], tree.total(tree.metric("wall_ns"))[node]);
}

function ratio(floor: number, time: number): number | null {
  return floor > 0 && time > 0 ? floor / time : null;
}

function bin(share: number): number {
  let at = BINS.length - 1;
  while (share < BINS[at].least) at--;
  return at;
}

function paint(at: number, scheme: Scheme): string {
  return `oklch(${SCALE[scheme][at].join(" ")})`;
}

export function byRoofline(tree: CallTree, scheme: Scheme): Colouring {
  const colours = BINS.map((_, at) => paint(at, scheme));
  const bins = new Int8Array(tree.size);
  const floors = tree.total(tree.metric("floor_ns"));
  const times = tree.total(tree.metric("wall_ns"));
  const serves = (node: number): boolean => SERVING.has(tree.frame(node).kind);
  for (let node = 0; node < tree.size; node++) {
    // A whole run has phases of which no floor is known.
    const share = tree.frame(node).kind === "run" ? null : ratio(floors[node], times[node]);
    const up = tree.parent[node];
    if (share !== null) bins[node] = bin(share);
    else bins[node] = up >= 0 && serves(node) && serves(up) ? bins[up] : -1;
  }
  const binOf = (node: number): number => bins[node];
  return {
    title: "Floor over time",
    order: [...BINS.map(({ label }) => label), NO_FLOOR],
    of: (node) => colours[binOf(node)] ?? NEUTRAL[scheme],
    group: (node) => BINS[binOf(node)]?.label ?? NO_FLOOR,
    entry: (group) => ({
      label: group,
      colour: colours[BINS.findIndex(({ label }) => label === group)] ?? NEUTRAL[scheme],
    }),
  };
}
