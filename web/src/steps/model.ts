/** Decode steps: what each took, how the times are spread, and what was different in the longest. Pure. */

import { decodeTable, numbers, type RawTable, type Table } from "../columns";
import { printable } from "../data";
import { formatBytes, formatCount, formatNs } from "../format";

export interface Outlier {
  readonly repetition: number;
  readonly step: number;
  readonly wall_ns: number;
  readonly usual_ns: number;
  readonly parts_ns: Readonly<Record<string, number>>;
  readonly counts: Readonly<Record<string, number>>;
}

export interface Spread {
  readonly count: number;
  readonly p50_ns: number;
  readonly p90_ns: number;
  readonly p99_ns: number;
  readonly limit_ns: number | null;
  readonly edges_ns: readonly number[];
  readonly counts: readonly number[];
}

interface RawSteps {
  table: RawTable;
  of: number;
  strings: string[];
  spread: Spread;
  deviations: number;
  outliers: Outlier[];
  outlier_count: number;
  requests_shown: number;
}

/** One line over the steps: memory, where it is known. */
export interface Line {
  readonly label: string;
  readonly values: readonly (number | null)[];
}

export interface Steps {
  readonly table: Table;
  readonly spread: Spread;
  readonly deviations: number;
  readonly outliers: readonly Outlier[];
  readonly outlierCount: number;
  /** By place: the step's index in its request. */
  readonly index: readonly number[];
  readonly median: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly repetitions: number;
  /** By place: `traced`, `anchored`, both, or null. */
  readonly anatomy: readonly (string | null)[];
  readonly memory: readonly Line[];
  readonly notes: readonly string[];
  /** Of how many requests the timeline has a window. */
  readonly requests: number;
}

/** Those that change from step to step are drawn. */
const MEMORY: [string, string][] = [
  ["rss_bytes", "resident on the host"],
  ["heap_bytes", "in the host's heap"],
  ["kv_cache_bytes", "key/value cache"],
  ["device_bytes", "in use on the device"],
  ["device_peak_bytes", "at the step's peak on the device"],
];

export function decodeSteps(raw: unknown): Steps {
  const { table: columns, of, strings, spread, deviations, outliers, outlier_count } = raw as RawSteps;
  const table = decodeTable(columns, strings.map(printable));
  const known = (name: string): number[] => (numbers(table, name) ?? []).map((value) => value ?? 0);
  const memory = MEMORY.map(([name, label]) => ({ label, values: numbers(table, name) ?? [] }));
  const anatomy = table.columns.find(({ name }) => name === "anatomy")?.values ?? [];
  const notes =
    of > table.count ? [`${formatCount(table.count)} of ${formatCount(of)} steps are drawn.`] : [];
  return {
    table,
    spread,
    deviations,
    outliers,
    outlierCount: outlier_count,
    index: known("step"),
    median: known("wall_ns"),
    low: known("min_ns"),
    high: known("max_ns"),
    repetitions: Math.max(1, ...known("repetitions")),
    anatomy: anatomy.map((value) => (typeof value === "string" ? value : null)),
    memory: memory.filter(({ values }) => growthOf(values).some((value) => (value ?? 0) !== 0)),
    notes,
    requests: (raw as RawSteps).requests_shown,
  };
}

const PARTS: Record<string, string> = {
  "on CPU": "on its own CPU",
  "run queue": "waiting for a CPU",
  disk: "waiting for the disk",
  "other waiting": "waiting otherwise (locks, threads, the device)",
};

const COUNTS: Record<string, (value: number) => string> = {
  minor_faults: (value) => `${formatCount(value)} page faults`,
  major_faults: (value) => `${formatCount(value)} page faults from disk`,
  read_bytes: (value) => `${formatBytes(value)} read`,
  rss_bytes: (value) => `${formatBytes(value)} of resident memory taken`,
  device_bytes: (value) => `${formatBytes(value)} of device memory taken`,
};

/** A part that makes up less of the excess isn't worth a word. */
const LEAST_PART = 0.05;

/** What every step has more of now and then, by what is counted. */
const LEAST: Record<string, number> = {
  minor_faults: 16,
  read_bytes: 1 << 16,
  rss_bytes: 1 << 16,
  device_bytes: 1 << 16,
};

/** What was more than in the steps around it: the parts of its time first, the largest first. */
export function differencesOf(outlier: Outlier): string[] {
  const excess = outlier.wall_ns - outlier.usual_ns;
  const parts = Object.entries(outlier.parts_ns)
    .filter(([, ns]) => ns > LEAST_PART * excess)
    .sort(([, a], [, b]) => b - a)
    .map(([name, ns]) => `${formatNs(ns)} ${PARTS[name] ?? printable(name)}`);
  const counts = Object.entries(outlier.counts)
    .filter(([name, value]) => value >= (LEAST[name] ?? 1))
    .map(([name, value]) =>
      (COUNTS[name] ?? ((count: number): string => `${formatCount(count)} ${printable(name)}`))(value),
    );
  return [...parts, ...counts];
}

/** Did it take so much memory that the part about memory may say why? */
export function tookMemory({ counts }: Outlier): boolean {
  return ["rss_bytes", "device_bytes"].some((name) => (counts[name] ?? 0) >= LEAST[name]);
}

/** What is held more than at the first step: a line from nothing shows growth that is small beside the whole. */
export function growthOf(values: readonly (number | null)[]): (number | null)[] {
  const first = values.find((value) => value !== null) ?? 0;
  return values.map((value) => (value === null ? null : value - first));
}

/** Steps of 1, 2 or 5 times a power of ten, from nothing or `least` to at least `most`. */
export function ticks(least: number, most: number, wanted: number): number[] {
  const span = Math.max(most - least, Number.MIN_VALUE);
  const rough = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(least / step); at * step <= most + step * 1e-9; at++) found.push(at * step);
  return found;
}

/** The place of the step that is nearest to an index. */
export function nearest(index: readonly number[], wanted: number): number {
  let best = 0;
  for (let at = 1; at < index.length; at++)
    if (Math.abs(index[at] - wanted) < Math.abs(index[best] - wanted)) best = at;
  return best;
}
