/** Colours of change: blue for less, orange for more, and none where a change can't be told from noise. */

import type { Scheme } from "./colour";
import type { Colouring } from "./colouring";
import type { Facts } from "./facts";
import type { CallTree } from "./tree";

export const BEFORE = "@before";
export const LARGER = "@larger";

/** From here on a colour is at its strongest: twice as much, half as much, or on one side only. */
const FULL = 2;
const LESS_HUE = 250;
const MORE_HUE = 45;
const QUIET = { hue: 70, chroma: 0.008 };

/** Ratios between which a frame's change is noise, and the change that is noise whatever its ratio. */
export interface Band {
  readonly low: number;
  readonly high: number;
  readonly least: number;
}

export function bandsOf(compared: Facts): Map<string, Band> {
  const bands = new Map<string, Band>();
  for (const [phase, band] of compared.at("noise").entries) {
    const low = band.at("low").number;
    const high = band.at("high").number;
    const least = band.at("least_ns").number;
    if (low !== null && high !== null && least !== null) bands.set(phase, { low, high, least });
  }
  return bands;
}

/** As the analysis has it (analysis/compare/noise.py). */
export function isNoise(before: number, after: number, band: Band): boolean {
  if (Math.abs(after - before) <= band.least) return true;
  return before > 0 && after / before >= band.low && after / before <= band.high;
}

/** The metric without the side that it is of: `wall_ns` of `wall_ns@before`. */
export function baseOf(metric: string): string {
  for (const suffix of [BEFORE, LARGER]) if (metric.endsWith(suffix)) return metric.slice(0, -suffix.length);
  return metric;
}

/** From -1 (half of it or none left) over 0 (as before) to 1 (twice as much, or new). */
export function strength(before: number, after: number): number {
  if (before === after) return 0;
  if (before <= 0) return 1;
  if (after <= 0) return -1;
  return Math.max(-1, Math.min(1, Math.log(after / before) / Math.log(FULL)));
}

/** Told apart by lightness of hue as well as by hue: blue and orange differ for all common kinds of sight. */
export function changeColour(change: number, scheme: Scheme): string {
  const size = Math.abs(change);
  if (size === 0) {
    return `oklch(${scheme === "light" ? 0.92 : 0.34} ${QUIET.chroma} ${QUIET.hue})`;
  }
  const lightness = scheme === "light" ? 0.9 - 0.13 * size : 0.38 + 0.1 * size;
  const chroma = 0.04 + 0.1 * size;
  return `oklch(${lightness.toFixed(3)} ${chroma.toFixed(4)} ${change < 0 ? LESS_HUE : MORE_HUE})`;
}

/** Colours of nodes by the change of one metric. */
export class ChangePalette {
  private readonly before: Float64Array;
  private readonly after: Float64Array;
  private readonly known: boolean;
  private readonly timed: boolean;

  constructor(
    private readonly tree: CallTree,
    metric: string,
    private readonly bands: ReadonlyMap<string, Band>,
    private readonly scheme: Scheme,
  ) {
    const base = baseOf(metric);
    const index = tree.metric(base);
    const other = tree.metric(base + BEFORE);
    this.known = other >= 0;
    this.timed = tree.metrics[index]?.unit === "ns";
    this.before = tree.total(other);
    this.after = tree.total(index);
  }

  of(node: number): string {
    return changeColour(this.change(node), this.scheme);
  }

  /** 0 where nothing changed, where it is noise, and where nobody knows. */
  change(node: number): number {
    if (!this.known) return 0;
    const before = this.before[node];
    const after = this.after[node];
    if (this.timed) {
      const phase = this.tree.nearest(node, "phase");
      const band = phase < 0 ? undefined : this.bands.get(this.tree.frame(phase).name);
      if (band === undefined || isNoise(before, after, band)) return 0;
    }
    return strength(before, after);
  }
}

/** From less over the same to more: up to which strength, its colour's, and the legend's words. */
const GROUPS: readonly { upTo: number; shown: number; label: string }[] = [
  { upTo: -0.7, shown: -1, label: "gone, or half of A" },
  { upTo: -Number.MIN_VALUE, shown: -0.4, label: "less" },
  { upTo: 0, shown: 0, label: "noise, the same, or measured once" },
  { upTo: 0.7, shown: 0.4, label: "more" },
  { upTo: 1, shown: 1, label: "twice A, or new" },
];

export function byChange(
  tree: CallTree,
  scheme: Scheme,
  metric: string,
  bands: ReadonlyMap<string, Band>,
): Colouring {
  const palette = new ChangePalette(tree, metric, bands, scheme);
  const groupOf = (change: number) => GROUPS.find(({ upTo }) => change <= upTo) ?? GROUPS[GROUPS.length - 1];
  return {
    title: "B against A, self share",
    order: GROUPS.map(({ label }) => label),
    of: (node) => palette.of(node),
    group: (node) => groupOf(palette.change(node)).label,
    entry: (label) => {
      const found = GROUPS.find((one) => one.label === label) ?? GROUPS[2];
      return { colour: changeColour(found.shown, scheme), label };
    },
  };
}
