/** An experiment's rows as the page draws them. Pure. */

import type { Table } from "../columns";
import { printable } from "../data";

export interface Speedup {
  /** Times as fast as the stock model; 2 is twice. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

export interface Figures {
  readonly tokens_per_s: number;
  readonly ttft_ns: number;
  readonly tpot_ns: number | null;
  readonly compile_ns: number | null;
  readonly mbu: number | null;
  readonly mfu: number | null;
  readonly peak_bytes: number | null;
  readonly joule_per_token: number | null;
}

export interface Row {
  readonly row: string;
  readonly batch: number;
  readonly label: string;
  readonly verdict: string;
  readonly reason: string | null;
  readonly promise: string;
  readonly agreement: { readonly verdict: string; readonly words: string };
  readonly speedup: Speedup | null;
  /** Over the rung below, where that isn't the stock model. */
  readonly step: Speedup | null;
  readonly figures: Figures | null;
  readonly memory: string | null;
  readonly notes: readonly string[];
}

export interface Lab {
  readonly rows: readonly Row[];
  /** The rungs that were kept, from the stock model up; empty where no ladder was asked for. */
  readonly ladder: readonly Row[];
  readonly batches: readonly number[];
  readonly best: string | null;
  readonly confidence: number;
  readonly rounds: number;
  /** Whether no row has a profile: then the page has no graph. */
  readonly bare: boolean;
}

interface RawRow extends Omit<Row, "promise" | "step"> {
  class: string;
  step_speedup: Speedup | null;
  has_profile: boolean;
}

interface RawLab {
  rows: RawRow[];
  ladder: { row: string; batch: number }[];
  batches: number[];
  best: string | null;
  confidence: number;
  subject: { rounds: number | null };
}

export function decodeLab(raw: unknown): Lab {
  const { rows, ladder, subject, best, ...rest } = raw as RawLab;
  const decoded = rows.map(({ class: promise, step_speedup: step, ...row }): Row => {
    const { verdict, words } = row.agreement;
    return {
      ...row,
      promise,
      step,
      row: printable(row.row),
      label: printable(row.label),
      reason: row.reason === null ? null : printable(row.reason),
      agreement: { verdict, words: printable(words) },
      notes: row.notes.map(printable),
    };
  });
  const rung = ({ row, batch }: { row: string; batch: number }): Row[] =>
    decoded.filter((one) => one.row === printable(row) && one.batch === batch);
  return {
    batches: rest.batches,
    confidence: rest.confidence,
    rows: decoded,
    ladder: ladder.flatMap(rung),
    best: best === null ? null : printable(best),
    rounds: subject.rounds ?? 0,
    bare: !rows.some((row) => row.has_profile),
  };
}

/** Rows of which a speed may be drawn: the stock model, and those whose output agrees. */
export function measured(rows: readonly Row[]): Row[] {
  return rows.filter(({ figures }) => figures !== null);
}

/** The speed-up of a row, the stock model's being 1. */
export function ratioOf({ speedup, verdict }: Row): number | null {
  return verdict === "stock" ? 1 : (speedup?.ratio ?? null);
}

export interface LinePoint {
  readonly batch: number;
  readonly ratio: number;
  /** Faster than the stock model at that batch size, beyond doubt. */
  readonly pays: boolean;
}

export interface Line {
  readonly name: string;
  readonly points: readonly LinePoint[];
}

/** How a row's speed-up goes with the batch size; rows that nowhere differ from the stock model are none. */
export function lines(rows: readonly Row[]): Line[] {
  const names = [...new Set(rows.filter(({ verdict }) => verdict !== "stock").map(({ row }) => row))];
  return names.flatMap((name) => {
    const mine = measured(rows).filter((row) => row.row === name && row.speedup !== null);
    if (mine.length < 2 || mine.every(({ verdict }) => verdict === "no difference")) return [];
    const points = mine.map((row) => ({
      batch: row.batch,
      ratio: ratioOf(row) ?? 1,
      pays: row.verdict === "faster",
    }));
    return [{ name, points: points.sort((a, b) => a.batch - b.batch) }];
  });
}

/** Between which batch sizes a row stops or begins to pay. */
export function crossings({ name, points }: Line): string[] {
  return points.slice(1).flatMap(({ batch, pays }, at) => {
    const before = points[at];
    if (before.pays === pays) return [];
    return [`${name} ${pays ? "begins to pay" : "stops paying"} between batch ${before.batch} and ${batch}`];
  });
}

const OUTPUT: Readonly<Record<string, string>> = {
  bitwise: "same bits",
  equivalent: "agrees",
  approximate: "close",
};

export function outputOf({ agreement, promise, verdict }: Row): string {
  if (verdict === "stock") return "–";
  if (agreement.verdict === "disagrees") return "differs";
  return agreement.verdict === "agrees" ? (OUTPUT[promise] ?? promise) : "–";
}

/** All that is known of every row, why it has no speed included. */
export function asTable(rows: readonly Row[]): Table {
  const column = (
    name: string,
    unit: string,
    label: string,
    of: (row: Row) => string | number | null | undefined,
  ): Table["columns"][number] => {
    const values = rows.map((row) => of(row) ?? null);
    return { name, unit, label, shown: values.some((value) => value !== null && value !== ""), values };
  };
  return {
    id: "lab-rows",
    title: "Rows of the experiment",
    columns: [
      column("row", "text", "Row", ({ label }) => label),
      column("output", "text", "Output", outputOf),
      column("verdict", "text", "Verdict", ({ verdict }) => verdict),
      column("speedup", "ratio", "Speed-up", (row) => row.speedup?.ratio),
      column("low", "ratio", "From", (row) => row.speedup?.low),
      column("high", "ratio", "To", (row) => row.speedup?.high),
      column("tokens_per_s", "ratio", "Tokens/s", ({ figures }) => figures?.tokens_per_s),
      column("ttft_ns", "ns", "TTFT", ({ figures }) => figures?.ttft_ns),
      column("tpot_ns", "ns", "TPOT", ({ figures }) => figures?.tpot_ns),
      column("mbu", "share", "MBU", ({ figures }) => figures?.mbu),
      column("mfu", "share", "MFU", ({ figures }) => figures?.mfu),
      column("peak_bytes", "bytes", "Memory", ({ figures }) => figures?.peak_bytes),
      column("joule_per_token", "ratio", "J/token", ({ figures }) => figures?.joule_per_token),
      column("compile_ns", "ns", "Compiling", ({ figures }) => figures?.compile_ns),
      column("why", "text", "Why", ({ reason, agreement, notes, verdict }) =>
        verdict === "stock" ? notes.join("; ") : [reason ?? agreement.words, ...notes].join("; "),
      ),
    ],
    count: rows.length,
    leftOut: 0,
    notes: [],
  };
}
