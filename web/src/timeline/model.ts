/** A timeline's windows: rows of boxes in order of time, made from columns. Pure. */

import { summed } from "../columns";
import { printable } from "../data";
import { RowBuilder, stackRows } from "./stacks";

interface RawWindow {
  id: string;
  label: string;
  phase: string | null;
  step: number | null;
  traced: boolean;
  wall_ns: number;
  dropped: number;
  slices?: { node: number[]; start: number[] };
  /** Of other threads, and of a cold start as it was sampled: not without gaps. */
  threads: { label: string; node: number[]; start: number[]; duration: number[] }[];
  more_threads: number;
  works?: {
    node: number[];
    stream: number[];
    start: number[];
    duration: number[];
    ago: number[];
    bytes: number[];
  };
  gaps?: { start: number[]; duration: number[]; cause: string[] };
  spans?: { node: number[]; start: number[]; duration: number[] };
  memory: { label: string; time: number[]; bytes: number[] }[];
}

export interface RawTimeline {
  windows: RawWindow[];
  /** Of traced windows: not in this page, not in the profile, and not in the profile of an older release. */
  left_out: string[];
  too_many: string[];
  unknown: string[];
  /** Of any windows: without the threads that were seen. */
  without_threads: string[];
  nodes: {
    up: number[];
    frame: number[];
    frames: Record<"kind" | "name" | "file" | "line" | "module", number[]>;
  };
  strings: string[];
}

export interface EventFrame {
  readonly kind: string;
  readonly name: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly module: string | null;
}

/** Boxes that don't overlap, in order of time. Nanoseconds since the window opened. */
export interface Row {
  readonly start: Float64Array;
  readonly end: Float64Array;
  /** Index of each box's node; in a row of gaps, of its cause. */
  readonly what: Int32Array;
  /** Of device work: when it was launched; NaN where no launch is known. */
  readonly launched: Float64Array | null;
  /** Of device work: bytes copied, -1 for none. */
  readonly bytes: Float64Array | null;
}

export interface Curve {
  readonly label: string;
  readonly times: Float64Array;
  readonly bytes: Float64Array;
}

export type LaneKind = "memory" | "idle" | "stream" | "host" | "thread" | "spans";

export interface Lane {
  readonly kind: LaneKind;
  readonly label: string;
  readonly rows: readonly Row[];
  readonly curve: Curve | null;
}

export interface WindowInfo {
  readonly id: string;
  readonly label: string;
  readonly traced: boolean;
  /** Did a device work in it? */
  readonly onDevice: boolean;
  readonly wall: number;
  readonly dropped: number;
  /** Lanes of threads, and how many more there were. */
  readonly threads: number;
  readonly moreThreads: number;
}

/** A box: its lane, its row in that, its place in that. */
export interface Spot {
  readonly lane: number;
  readonly row: number;
  readonly at: number;
}

export class Timeline {
  readonly windows: readonly WindowInfo[];
  readonly leftOut: readonly string[];
  readonly tooMany: readonly string[];
  readonly unknown: readonly string[];
  readonly withoutThreads: readonly string[];
  readonly causes: readonly string[];
  readonly parent: Int32Array;
  private readonly frames: readonly EventFrame[];
  private readonly frameOf: readonly number[];
  private readonly lanesOf = new Map<number, readonly Lane[]>();

  constructor(private readonly raw: RawTimeline) {
    const strings = raw.strings.map(printable);
    const text = (at: number): string | null => (at < 0 ? null : strings[at]);
    const { kind, name, file, line, module } = raw.nodes.frames;
    this.frames = name.map((_, at) => ({
      kind: text(kind[at]) ?? "other",
      name: text(name[at]) || "(no name)",
      file: text(file[at]),
      line: line[at] < 0 ? null : line[at],
      module: text(module[at]),
    }));
    this.frameOf = raw.nodes.frame;
    this.parent = Int32Array.from(raw.nodes.up, (up, at) => (up === 0 ? -1 : at - up));
    this.windows = raw.windows.map((window) => ({
      id: window.id,
      label: printable(window.label),
      traced: window.traced,
      onDevice: window.works !== undefined && window.works.node.length > 0,
      wall: Math.max(1, window.wall_ns),
      dropped: window.dropped,
      threads: window.threads.length,
      moreThreads: window.more_threads,
    }));
    this.leftOut = raw.left_out.map(printable);
    this.tooMany = raw.too_many.map(printable);
    this.unknown = raw.unknown.map(printable);
    this.withoutThreads = raw.without_threads.map(printable);
    this.causes = [...new Set(raw.windows.flatMap(({ gaps }) => gaps?.cause ?? []))];
  }

  /** What is shown at first: a decode step, else a request. */
  get first(): number {
    const found = [/^decode\./, /^request/].map((id) =>
      this.windows.findIndex((window) => id.test(window.id)),
    );
    return found.find((at) => at >= 0) ?? 0;
  }

  frame(node: number): EventFrame {
    return this.frames[this.frameOf[node]];
  }

  lanes(window: number): readonly Lane[] {
    let lanes = this.lanesOf.get(window);
    if (lanes === undefined) this.lanesOf.set(window, (lanes = this.makeLanes(this.raw.windows[window])));
    return lanes;
  }

  /** Where a node is, as the graph looks for it: phase, module, operator or function. See place.ts. */
  wordsOf(node: number): string {
    const path = [];
    for (let at = node; at >= 0; at = this.parent[at]) path.push(this.frame(at));
    let [phase, module, operator, code] = ["", "", "", ""];
    for (const frame of path.reverse()) {
      if (frame.kind === "phase") phase = frame.name;
      else if (frame.kind === "module") module = frame.module ?? module;
      else if (frame.kind === "op") operator = frame.name;
      else if (frame.kind === "python") code = inFile(frame);
    }
    const last = path[path.length - 1];
    const own = last.kind === "phase" || last.kind === "other" ? "" : inFile(last);
    return [phase, module, operator || code || own].filter((part) => part !== "").join(" › ");
  }

  private makeLanes(raw: RawWindow): Lane[] {
    const lanes: Lane[] = raw.memory.map(({ label, time, bytes }) => ({
      kind: "memory",
      label,
      rows: [],
      curve: { label, times: summed(time), bytes: summed(bytes) },
    }));
    const lane = (kind: LaneKind, label: string, rows: readonly Row[]): void => {
      if (rows.some(({ what }) => what.length > 0)) lanes.push({ kind, label, rows, curve: null });
    };
    if (raw.gaps !== undefined) lane("idle", "GPU idle", [this.gapRow(raw.gaps)]);
    if (raw.works !== undefined) {
      for (const stream of [...new Set(raw.works.stream)].sort((a, b) => a - b))
        lane("stream", `stream ${stream}`, [workRow(raw.works, stream)]);
    }
    if (raw.slices !== undefined) lane("host", "main thread", this.hostRows(raw.slices, raw.wall_ns));
    if (raw.spans !== undefined) lane("spans", "phases and steps", spanRows(raw.spans));
    for (const { label, node, start, duration } of raw.threads) {
      const starts = summed(start);
      const ends = starts.map((begin, at) => begin + duration[at]);
      lane("thread", printable(label), stackRows(summed(node), starts, ends, this.below));
    }
    return lanes;
  }

  private gapRow({ start, duration, cause }: NonNullable<RawWindow["gaps"]>): Row {
    const from = summed(start);
    return {
      start: from,
      end: from.map((begin, at) => begin + duration[at]),
      what: Int32Array.from(cause, (name) => this.causes.indexOf(name)),
      launched: null,
      bytes: null,
    };
  }

  private hostRows({ node, start }: NonNullable<RawWindow["slices"]>, wall: number): Row[] {
    const starts = summed(start);
    const ends = Float64Array.from(starts, (_, at) => starts[at + 1] ?? wall);
    return stackRows(summed(node), starts, ends, this.below);
  }

  /** From below the phase, or the thread that it is of, down to a node. */
  private readonly below = (node: number): number[] => {
    const path = [];
    for (let at = node; at >= 0 && this.parent[at] >= 0; at = this.parent[at]) {
      const isThread = this.frame(at).kind === "thread";
      if (!isThread || path.length === 0) path.push(at);
      if (isThread) break;
    }
    return path.reverse();
  };
}

function workRow(works: NonNullable<RawWindow["works"]>, stream: number): Row {
  const nodes = summed(works.node);
  const starts = summed(works.start);
  const row: { start: number[]; end: number[]; what: number[]; launched: number[]; bytes: number[] } = {
    start: [],
    end: [],
    what: [],
    launched: [],
    bytes: [],
  };
  let free = -Infinity;
  nodes.forEach((node, at) => {
    if (works.stream[at] !== stream) return;
    // A stream does one thing at a time; clocks that are aligned to microseconds may say else.
    const start = Math.max(starts[at], free);
    free = Math.max(starts[at] + works.duration[at], start);
    row.start.push(start);
    row.end.push(free);
    row.what.push(node);
    row.launched.push(works.ago[at] < 0 ? NaN : starts[at] - works.ago[at]);
    row.bytes.push(works.bytes[at]);
  });
  return {
    start: Float64Array.from(row.start),
    end: Float64Array.from(row.end),
    what: Int32Array.from(row.what),
    launched: Float64Array.from(row.launched),
    bytes: Float64Array.from(row.bytes),
  };
}

/** Each span in the first row in which there is room: what lies in another comes below it. */
function spanRows({ node, start, duration }: NonNullable<RawWindow["spans"]>): Row[] {
  const nodes = summed(node);
  const starts = summed(start);
  const rows: RowBuilder[] = [];
  nodes.forEach((what, at) => {
    let depth = 0;
    while (rows[depth] !== undefined && rows[depth].until > starts[at]) depth++;
    (rows[depth] ??= new RowBuilder()).add(starts[at], starts[at] + duration[at], what);
  });
  return rows.map((row) => row.row());
}

function inFile({ name, file, line }: EventFrame): string {
  return file === null || file === "" ? name : `${name} (${file}:${line ?? "None"})`;
}

/** The first box of a row that ends after an instant. */
export function firstAfter({ end }: Row, time: number): number {
  let [low, high] = [0, end.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (end[middle] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The box at an instant; -1 where there is none. */
export function boxAt(row: Row, time: number): number {
  const at = firstAfter(row, time);
  return at < row.start.length && row.start[at] <= time ? at : -1;
}

/** What is drawn of a row: a box, or (`at` -1) `count` boxes that are too narrow to be told apart. */
export interface Stroke {
  readonly x: number;
  readonly width: number;
  readonly at: number;
  readonly count: number;
}

const NARROW = 0.5;

/** Boxes in sight; those below half a pixel that lie together are one stroke. */
export function strokesOf(row: Row, from: number, to: number, width: number): Stroke[] {
  const scale = width / (to - from);
  const found: Stroke[] = [];
  let run: { x: number; until: number; count: number; at: number } | null = null;
  const flush = (): void => {
    if (run === null) return;
    found.push({
      x: run.x,
      width: Math.max(run.until - run.x, NARROW),
      at: run.count === 1 ? run.at : -1,
      count: run.count,
    });
    run = null;
  };
  for (let at = firstAfter(row, from); at < row.start.length && row.start[at] < to; at++) {
    const x = (row.start[at] - from) * scale;
    const until = (row.end[at] - from) * scale;
    if (until - x >= NARROW) {
      flush();
      found.push({ x, width: until - x, at, count: 1 });
    } else if (run !== null && x - run.until < NARROW) {
      run.until = Math.max(run.until, until);
      run.count++;
    } else {
      flush();
      run = { x, until, count: 1, at };
    }
  }
  flush();
  return found;
}

/** From the launching call to its work. */
export interface Link {
  readonly launched: number;
  readonly start: number;
  readonly lane: number;
}

/** The launches that a box has to do with: its own, or those made while it ran, `most` at most. */
export function linksOf(lanes: readonly Lane[], { lane, row, at }: Spot, most: number): Link[] {
  const boxes = lanes[lane].rows[row];
  if (boxes.launched !== null) {
    const launched = boxes.launched[at];
    return Number.isNaN(launched) ? [] : [{ launched, start: boxes.start[at], lane }];
  }
  if (lanes[lane].kind !== "host") return [];
  const found: Link[] = [];
  lanes.forEach(({ rows }, other) => {
    for (const { launched, start } of rows) {
      if (launched === null) continue;
      for (let work = 0; work < launched.length && found.length < most; work++) {
        if (launched[work] >= boxes.start[at] && launched[work] < boxes.end[at])
          found.push({ launched: launched[work], start: start[work], lane: other });
      }
    }
  });
  return found;
}

/** How long the device was idle in a window, by cause; the longest first. */
export function idleOf(lanes: readonly Lane[], causes: readonly string[]): [cause: string, ns: number][] {
  const sums = new Map<string, number>();
  for (const { kind, rows } of lanes) {
    if (kind !== "idle") continue;
    for (const { start, end, what } of rows)
      what.forEach((cause, at) =>
        sums.set(causes[cause], (sums.get(causes[cause]) ?? 0) + end[at] - start[at]),
      );
  }
  return [...sums].sort(([, a], [, b]) => b - a);
}
