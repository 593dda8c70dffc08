/** Metrics as people meet them: what they are called, in which order they stand, which can be a width. */

import type { CallTree, Metric } from "./tree";

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

/** One traced step of its own: `wall_ns@decode.8`. */
const STEP = /^(\w+)@([^.@]+)\.(\d+)$/;

export interface Step {
  /** The metric whose share of the step it is. */
  metric: string;
  /** `decode.8` */
  name: string;
  phase: string;
  /** "decode step 8" */
  words: string;
}

/** The step that a metric is of; null for those of the whole run. */
export function stepOf(metric: Metric): Step | null {
  const found = peakOf(metric) === null ? STEP.exec(metric.name) : null;
  if (found === null) return null;
  const [, name, phase, number] = found;
  return { metric: name, name: `${phase}.${number}`, phase, words: `${phase} step ${number}` };
}

/** What shares of a metric are shares of. */
export function wholeOf(tree: CallTree, metric: number): string {
  const step = metric < 0 ? null : stepOf(tree.metrics[metric]);
  return step === null || tree.role !== "whole" ? tree.whole : step.words;
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
  const step = stepOf(metric);
  const name = step?.metric ?? metric.name;
  const short = LABELS[name];
  const label = short !== undefined && step !== null ? `${short}, ${step.words}` : short;
  return { ...metric, label: label ?? metric.label, fold: name === "calls" ? "sum" : metric.fold };
}

export function canBeWidth(metric: Metric): boolean {
  return metric.fold === "sum" && !NO_WIDTH.has(metric.name) && stepOf(metric) === null;
}

export function inOrder<T extends Metric>(metrics: readonly T[]): T[] {
  const place = (metric: Metric): number => {
    const group = GROUPS.findIndex(([own]) => own === metric.unit);
    const at = ORDER.indexOf(stepOf(metric)?.metric ?? metric.name);
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
