/** A roofline's points and ceilings on logarithmic axes. Pure. */

import { printable } from "../data";
import type { Table } from "../columns";

export interface Point {
  readonly by: "class" | "module";
  readonly phase: string;
  readonly name: string;
  readonly flops: number;
  readonly bytes: number;
  readonly time_ns: number;
  readonly intensity: number | null;
  readonly flop_per_s: number | null;
  readonly place: string;
}

export interface Ceiling {
  readonly origin: "measured" | "published";
  /** Null: the memory's bandwidth. */
  readonly dtype: string | null;
  readonly rate: number;
  readonly own: boolean;
}

export interface Roofline {
  readonly device: string;
  readonly dtype: string | null;
  readonly points: readonly Point[];
  readonly ceilings: readonly Ceiling[];
  readonly leftOut: number;
}

export function decodeRoofline(raw: unknown): Roofline {
  const { left_out: leftOut, ...rest } = raw as Omit<Roofline, "leftOut"> & { left_out: number };
  const points = rest.points.map((point) => ({
    ...point,
    name: printable(point.name),
    phase: printable(point.phase),
    place: printable(point.place),
  }));
  return { ...rest, device: printable(rest.device), points, leftOut };
}

/** A stretch of a logarithmic axis, in powers of ten. */
export interface Decades {
  readonly from: number;
  readonly to: number;
}

/** Whole decades around what is drawn, and at least two. */
export function decades(values: readonly number[]): Decades {
  const known = values.filter((value) => value > 0);
  const from = Math.floor(Math.log10(Math.min(...known)) - 0.05);
  const to = Math.ceil(Math.log10(Math.max(...known)) + 0.05);
  return known.length === 0 ? { from: 0, to: 2 } : { from, to: Math.max(to, from + 2) };
}

/** Where a value lies between the ends, 0 to 1. */
export function along(value: number, { from, to }: Decades): number {
  return (Math.log10(value) - from) / (to - from);
}

export function isDrawn(point: Point): boolean {
  return point.intensity !== null && point.flop_per_s !== null;
}

/**
 * What the own ceilings of one origin allow at an intensity: the measured ones', or the published where nothing was
 * measured. Null where none is known.
 */
export function reachable(ceilings: readonly Ceiling[], intensity: number): number | null {
  const rate = (bandwidth: boolean): number | undefined => {
    const own = ceilings.filter(({ dtype, own: mine }) => mine && (dtype === null) === bandwidth);
    return (own.find(({ origin }) => origin === "measured") ?? own[0])?.rate;
  };
  const [bandwidth, compute] = [rate(true), rate(false)];
  if (bandwidth === undefined) return compute ?? null;
  return Math.min(bandwidth * intensity, compute ?? Infinity);
}

/** The ceilings in words, the fastest first. */
export function ceilingsInWords(ceilings: readonly Ceiling[], format: (rate: number) => string): string {
  return ceilings
    .filter(({ dtype }) => dtype !== null)
    .sort((a, b) => b.rate - a.rate)
    .map(({ dtype, rate, origin }) => `${dtype} ${format(rate)} (${origin})`)
    .join(", ");
}

/** The same points as rows, for who reads rather than looks. */
export function asTable({ ceilings }: Roofline, shown: readonly Point[]): Table {
  const share = (point: Point): number | null => {
    if (point.intensity === null || point.flop_per_s === null) return null;
    const most = reachable(ceilings, point.intensity);
    return most === null ? null : point.flop_per_s / most;
  };
  const column = <T extends string | number | null>(
    name: string,
    unit: string,
    label: string,
    of: (point: Point) => T,
  ): Table["columns"][number] => ({ name, unit, label, shown: true, values: shown.map(of) });
  return {
    id: "points",
    title: "Roofline points",
    columns: [
      column("name", "text", shown[0]?.by === "module" ? "Module" : "Class", ({ name }) => name),
      column("phase", "text", "Phase", ({ phase }) => phase),
      column("time_ns", "ns", "Time", ({ time_ns }) => time_ns),
      column("intensity", "ratio", "FLOP/byte", ({ intensity }) => intensity),
      column("flop_per_s", "flop/s", "FLOP/s", ({ flop_per_s }) => flop_per_s),
      column("share", "share", "Of its ceiling", share),
      column("flops", "flop", "FLOP", ({ flops }) => flops),
      column("bytes", "bytes", "Bytes moved", ({ bytes }) => bytes),
    ],
    count: shown.length,
    leftOut: 0,
    notes: [],
  };
}
