/** The call tree: nodes in pre-order, so that a subtree is a range of indices. */

export interface Frame {
  readonly kind: string;
  readonly name: string;
  /** The name that `name` shortens; null where it shortens nothing. */
  readonly full: string | null;
  readonly file: string | null;
  readonly line: number | null;
  readonly module: string | null;
  /** What is said of a frame that few know by its name: see views/stall_words.py. */
  readonly words?: { readonly meaning: string; readonly helps: string };
}

export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly fold: string;
  readonly label: string;
}

/** Columns as they come: any order in which a parent stands before its children. */
export interface Columns {
  frames: readonly Frame[];
  parent: Int32Array;
  frameOf: Int32Array;
  metrics: readonly Metric[];
  selfs: readonly Float64Array[];
  originNames: readonly string[];
  origin: Uint8Array;
  /** How many recorded nodes stand behind each node. */
  instances?: Int32Array;
  role?: Role;
}

/** What the root stands for: all that was recorded, the stacks that are looked at, or a frame above its callers. */
export type Role = "whole" | "focus" | "callers";

const NO_CHILDREN: readonly number[] = [];

export class CallTree {
  readonly size: number;
  readonly frames: readonly Frame[];
  readonly metrics: readonly Metric[];
  readonly originNames: readonly string[];
  readonly parent: Int32Array;
  readonly frameOf: Int32Array;
  readonly origin: Uint8Array;
  readonly instances: Int32Array | null;
  /** One past the last descendant. */
  readonly end: Int32Array;
  readonly depth: Int32Array;
  /** Rows below a node. */
  readonly height: Int32Array;
  /** Whether it is a tree of bytes that are held, below what they are held as, and not one of a run. */
  readonly held: boolean;
  readonly role: Role;
  private readonly selfs: readonly Float64Array[];
  private readonly folded = new Map<number, Float64Array>();
  private readonly spreads = new Map<number, Float64Array>();
  private readonly none: Float64Array;
  private readonly below: (readonly number[] | undefined)[] = [];

  /** Wants columns in pre-order: see `preorder`. */
  constructor(columns: Columns) {
    this.frames = columns.frames;
    this.metrics = columns.metrics;
    this.originNames = columns.originNames;
    this.parent = columns.parent;
    this.frameOf = columns.frameOf;
    this.origin = columns.origin;
    this.instances = columns.instances ?? null;
    this.selfs = columns.selfs;
    this.role = columns.role ?? "whole";
    this.held = columns.frames.some(({ kind }) => kind === "memory");
    this.size = columns.parent.length;
    this.none = new Float64Array(this.size);
    this.end = new Int32Array(this.size);
    this.depth = new Int32Array(this.size);
    this.height = new Int32Array(this.size);
    for (let node = 1; node < this.size; node++) this.depth[node] = this.depth[this.parent[node]] + 1;
    for (let node = this.size - 1; node >= 0; node--) {
      if (this.end[node] === 0) this.end[node] = node + 1;
      const parent = this.parent[node];
      if (parent < 0) continue;
      if (this.end[parent] < this.end[node]) this.end[parent] = this.end[node];
      if (this.height[parent] <= this.height[node]) this.height[parent] = this.height[node] + 1;
    }
  }

  /** What the root is called in a sentence. */
  get whole(): string {
    if (this.role === "focus") return "what is in focus";
    if (this.role === "callers") return "its total";
    return this.held ? "peak" : "run";
  }

  frame(node: number): Frame {
    return this.frames[this.frameOf[node]];
  }

  /** In pre-order; made when it is first asked for. */
  children(node: number): readonly number[] {
    let children = this.below[node];
    if (children === undefined) {
      if (this.end[node] === node + 1) return NO_CHILDREN;
      const found: number[] = [];
      for (let child = node + 1; child < this.end[node]; child = this.end[child]) found.push(child);
      this.below[node] = children = found;
    }
    return children;
  }

  /** Without a list of them; -1: it has none. */
  firstChild(node: number): number {
    return this.end[node] > node + 1 ? node + 1 : -1;
  }

  /** -1: it is the last. */
  nextSibling(node: number): number {
    const next = this.end[node];
    return node > 0 && next < this.end[this.parent[node]] ? next : -1;
  }

  contains(ancestor: number, node: number): boolean {
    return node >= ancestor && node < this.end[ancestor];
  }

  /** From the root down to the node. */
  path(node: number): number[] {
    const path = [];
    for (let at = node; at >= 0; at = this.parent[at]) path.push(at);
    return path.reverse();
  }

  /** The nearest node of that kind at or above, or -1. */
  nearest(node: number, kind: string): number {
    let at = node;
    while (at >= 0 && this.frame(at).kind !== kind) at = this.parent[at];
    return at;
  }

  /** A metric's index by its name; -1 where the tree has none of that name. */
  metric(name: string): number {
    return this.metrics.findIndex((metric) => metric.name === name);
  }

  /** Own values; zeros where there is no such metric (-1). */
  self(metric: number): Float64Array {
    return this.selfs[metric] ?? this.none;
  }

  /** Self values folded up the tree as the metric says. */
  total(metric: number): Float64Array {
    let total = this.folded.get(metric);
    if (total === undefined) {
      total = fold(this.self(metric), this.parent, this.metrics[metric]?.fold ?? "none");
      this.folded.set(metric, total);
    }
    return total;
  }

  /** What a node's width stands for: its total, or its children's where they are more than that. */
  spread(metric: number): Float64Array {
    let spread = this.spreads.get(metric);
    if (spread === undefined) {
      spread = spreadsOf(this.parent, this.total(metric));
      this.spreads.set(metric, spread);
    }
    return spread;
  }
}

function fold(own: Float64Array, parent: Int32Array, how: string): Float64Array {
  const total = own.slice();
  if (how === "none") return total;
  for (let node = total.length - 1; node > 0; node--) {
    const up = parent[node];
    if (how === "max") total[up] = Math.max(total[up], total[node]);
    else total[up] += total[node];
  }
  return total;
}

/** Totals, or the children's where they are more than that; parents stand before their children. */
export function spreadsOf(parent: ArrayLike<number>, total: ArrayLike<number>): Float64Array {
  const spread = new Float64Array(total.length);
  for (let node = 1; node < total.length; node++) spread[parent[node]] += Math.max(0, total[node]);
  for (let node = 0; node < total.length; node++) spread[node] = Math.max(total[node], spread[node]) || 1;
  return spread;
}

/** Columns in pre-order and where each node went (null: they were already). */
export function preorder(columns: Columns): { columns: Columns; moved: Int32Array | null } {
  if (isPreorder(columns.parent)) return { columns, moved: null };
  const order = depthFirst(columns.parent);
  const moved = new Int32Array(order.length);
  order.forEach((old, index) => (moved[old] = index));
  const sorted: Columns = {
    ...columns,
    parent: order.map((old) => (columns.parent[old] < 0 ? -1 : moved[columns.parent[old]])),
    frameOf: order.map((old) => columns.frameOf[old]),
    selfs: columns.selfs.map((own) => Float64Array.from(order, (old) => own[old])),
    origin: Uint8Array.from(order, (old) => columns.origin[old]),
  };
  const instances = columns.instances;
  if (instances) sorted.instances = order.map((old) => instances[old]);
  return { columns: sorted, moved };
}

function isPreorder(parent: Int32Array): boolean {
  for (let node = 1; node < parent.length; node++) {
    let at = node - 1;
    while (at >= 0 && at !== parent[node]) at = parent[at];
    if (at < 0) return false;
  }
  return true;
}

function depthFirst(parent: Int32Array): Int32Array {
  const size = parent.length;
  const first = new Int32Array(size).fill(-1);
  const next = new Int32Array(size).fill(-1);
  for (let node = size - 1; node > 0; node--) {
    next[node] = first[parent[node]];
    first[parent[node]] = node;
  }
  const order = new Int32Array(size);
  const stack = size > 0 ? [0] : [];
  let count = 0;
  while (stack.length > 0) {
    const node = stack.pop() as number;
    order[count++] = node;
    if (next[node] >= 0) stack.push(next[node]);
    if (first[node] >= 0) stack.push(first[node]);
  }
  return order;
}
