/** Metrics as people meet them: what they are called, in which order they stand, which can be a width. */

import type { Metric } from "./tree";

/** Shorter than the file's own labels. */
const LABELS: Record<string, string> = {
  device_ns: "GPU time",
  low_occupancy_ns: "GPU time in small grids",
  copied_bytes: "Bytes copied",
  read_bytes: "Bytes read",
  written_bytes: "Bytes written",
  weight_bytes: "Weights read",
  flops: "FLOPs",
  floor_ns: "Operators' floor",
  unknown_work: "Operators of unknown work",
};

/** What is asked for most comes first; a metric that is not named comes last in its group. */
const ORDER = [
  "wall_ns",
  "host_ns",
  "device_ns",
  "gpu_idle_ns",
  "floor_ns",
  "on_cpu_ns",
  "overlapped_ns",
  "allocated_bytes",
  "device_allocated_bytes",
  "copied_bytes",
  "read_bytes",
  "written_bytes",
  "weight_bytes",
  "freed_bytes",
  "device_freed_bytes",
  "flops",
  "calls",
];

/** Bytes at a peak: `held_bytes@decode`, or `held_bytes@decode.3` with the frames of step 3. */
const HELD = /^(device_)?held_bytes@([^.]*)/;
const HELD_GROUP = "Bytes held at a peak";

/** The phase whose peak a metric is of, and where; null for all other metrics. */
export function peakOf({ name }: Metric): { phase: string; onDevice: boolean } | null {
  const found = HELD.exec(name);
  return found && { phase: found[2], onDevice: found[1] !== undefined };
}

const GROUPS: [unit: string, label: string][] = [
  ["ns", "Time"],
  ["bytes", "Bytes"],
  ["flop", "Work"],
  ["count", "Counts"],
];

/** They say how others came about, or are part of what the floor is made of. */
const NO_WIDTH = new Set(["low_occupancy_ns", "unknown_work", "read_bytes", "written_bytes", "weight_bytes"]);

/** Calls are counted up the tree: at or below a frame there are so many. */
export function forPeople(metric: Metric): Metric {
  return {
    ...metric,
    label: LABELS[metric.name] ?? metric.label,
    fold: metric.name === "calls" ? "sum" : metric.fold,
  };
}

export function canBeWidth({ name, fold }: Metric): boolean {
  return fold === "sum" && !NO_WIDTH.has(name);
}

export function inOrder<T extends Metric>(metrics: readonly T[]): T[] {
  const place = ({ name, unit }: Metric): number => {
    const group = GROUPS.findIndex(([own]) => own === unit);
    const at = ORDER.indexOf(name);
    return (group < 0 ? GROUPS.length : group) * 100 + (at < 0 ? ORDER.length : at);
  };
  return metrics.slice().sort((a, b) => place(a) - place(b));
}

/** The metrics of each group that has any, in order. */
export function grouped(metrics: readonly Metric[]): [label: string, members: Metric[]][] {
  const groups = new Map<string, Metric[]>();
  for (const metric of inOrder(metrics)) {
    const ofUnit = GROUPS.find(([unit]) => unit === metric.unit)?.[1] ?? "Other";
    const label = peakOf(metric) === null ? ofUnit : HELD_GROUP;
    groups.set(label, [...(groups.get(label) ?? []), metric]);
  }
  return [...groups];
}
