/** From the text in the page to a tree. The layout is described in views/page/document.py. */

import { decodeCharts, type Charts, type RawCharts } from "./curves";
import { Facts } from "./facts";
import { forPeople } from "./metrics";
import { CallTree, preorder, type Frame, type Metric } from "./tree";

export const SCHEMA = 1;

interface RawTree {
  frames: Record<"kind" | "name" | "full" | "file" | "line" | "module", number[]> &
    Partial<Record<"meaning" | "helps", number[]>>;
  nodes: { up: number[]; frame: number[] };
  metrics: (Metric & { step: number[]; value: number[] })[];
  origins: { names: string[]; runs: number[] };
}

export interface RawDocument extends RawTree {
  schema: number;
  title: string;
  summary: unknown;
  strings: string[];
  memory?: { facts: unknown; charts: RawCharts; held: RawTree | null } | null;
  compare?: unknown;
  sections?: Record<string, unknown>;
}

export interface Memory {
  /** The memory document. */
  facts: Facts;
  charts: Charts;
  /** Bytes by place: its metrics are the peaks. */
  held: CallTree | null;
}

export interface Report {
  title: string;
  summary: unknown;
  tree: CallTree;
  memory: Memory | null;
  /** The document of a comparison: then the tree is that of both runs. */
  compared: Facts | null;
  /** By name, what the parts below the graph show. */
  sections: Readonly<Record<string, unknown>>;
}

/** base64 of gzip of JSON, without a request: a page opened from a file may make none. */
export async function unpack(text: string): Promise<RawDocument> {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text()) as RawDocument;
}

export function decode(raw: RawDocument): Report {
  if (raw.schema !== SCHEMA) throw new Error(`this page reads layout ${SCHEMA}, its data has ${raw.schema}`);
  const strings = raw.strings.map(printable);
  const { memory = null } = raw;
  return {
    title: printable(raw.title),
    summary: raw.summary,
    tree: decodeTree(raw, strings),
    compared: raw.compare == null ? null : new Facts(raw.compare),
    memory: memory && {
      facts: new Facts(memory.facts),
      charts: decodeCharts(memory.charts),
      held: memory.held && decodeTree(memory.held, strings),
    },
    sections: raw.sections ?? {},
  };
}

function decodeTree(raw: RawTree, strings: string[]): CallTree {
  const size = Math.max(1, raw.nodes.frame.length);
  const parent = new Int32Array(size);
  parent[0] = -1;
  for (let node = 1; node < size; node++) parent[node] = node - raw.nodes.up[node - 1];
  const { columns } = preorder({
    frames: decodeFrames(raw, strings),
    parent,
    frameOf: raw.nodes.frame.length > 0 ? Int32Array.from(raw.nodes.frame) : new Int32Array(1),
    metrics: raw.metrics.map(({ name, unit, fold, label }) =>
      forPeople({ name, unit, fold, label: printable(label) }),
    ),
    selfs: raw.metrics.map((metric) => sparse(metric.step, metric.value, size)),
    originNames: raw.origins.names,
    origin: runs(raw.origins.runs, size),
  });
  return new CallTree(columns);
}

function decodeFrames(raw: RawTree, strings: string[]): Frame[] {
  const text = (index: number): string | null => (index < 0 ? null : strings[index]);
  const frames = raw.frames.name.map((name, index) => ({
    kind: text(raw.frames.kind[index]) ?? "other",
    name: text(name) || "(no name)",
    full: text(raw.frames.full[index]),
    file: text(raw.frames.file[index]),
    line: raw.frames.line[index] < 0 ? null : raw.frames.line[index],
    module: text(raw.frames.module[index]),
    ...wordsOf(text(raw.frames.meaning?.[index] ?? -1), text(raw.frames.helps?.[index] ?? -1)),
  }));
  return frames.length > 0
    ? frames
    : [{ kind: "run", name: "run", full: null, file: null, line: null, module: null }];
}

function wordsOf(meaning: string | null, helps: string | null): Pick<Frame, "words"> {
  return meaning === null || helps === null ? {} : { words: { meaning, helps } };
}

function sparse(step: number[], value: number[], size: number): Float64Array {
  const dense = new Float64Array(size);
  let node = 0;
  for (let at = 0; at < step.length; at++) {
    node += step[at];
    dense[node] = value[at];
  }
  return dense;
}

function runs(pairs: number[], size: number): Uint8Array {
  const dense = new Uint8Array(size);
  let node = 0;
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    dense.fill(pairs[at], node, node + pairs[at + 1]);
    node += pairs[at + 1];
  }
  return dense;
}

/** Control characters and those that reorder text become visible marks, so that a name can't pose as another. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (mark) => {
    const code = mark.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\ufffd";
  });
}
