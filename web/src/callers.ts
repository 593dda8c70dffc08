/** The tree turned over: a frame on top, below it those who call it, with what it takes on their behalf. */

import { Matches } from "./search";
import { MIXED, type Shaped } from "./shape";
import { CallTree, preorder, type Frame } from "./tree";

/**
 * Each outermost occurrence counts with its total (one that calls itself counts once), and with the calls of its
 * own: the widths of a row add up to the frame's total, and each chain ends at the phase that it began in.
 */
export function callersOf(tree: CallTree, test: (frame: Frame) => boolean): Shaped | null {
  const places = new Matches(tree, test).outermost(0);
  if (places.length === 0) return null;
  const chains = new Chains(tree, places);
  const { columns, moved } = preorder({
    frames: chains.frames,
    parent: Int32Array.from(chains.parent),
    frameOf: Int32Array.from(chains.frameOf),
    metrics: tree.metrics,
    selfs: tree.metrics.map(({ name, fold }, index) => {
      const sums = new Float64Array(chains.parent.length);
      if (fold !== "sum") return sums;
      const values = name.split("@")[0] === "calls" ? tree.self(index) : tree.total(index);
      places.forEach((node, at) => (sums[chains.ends[at]] += values[node]));
      return sums;
    }),
    originNames: chains.originNames,
    origin: Uint8Array.from(chains.origin),
    role: "callers",
  });
  const to = new Int32Array(tree.size).fill(-1);
  for (const node of places) to[node] = moved === null ? 0 : moved[0];
  return { tree: new CallTree(columns), to };
}

class Chains {
  readonly parent = [-1];
  readonly frameOf: number[];
  readonly origin: number[];
  /** Where the chain of each occurrence ends. */
  readonly ends: number[];
  readonly frames: readonly Frame[];
  readonly originNames: readonly string[];

  constructor(
    private readonly tree: CallTree,
    places: readonly number[],
  ) {
    const first = tree.frame(places[0]);
    const one = places.every((node) => tree.frame(node).module === first.module);
    this.frames = [...tree.frames, one ? first : { ...first, module: null }];
    this.frameOf = [tree.frames.length];
    this.originNames = tree.originNames.includes(MIXED) ? tree.originNames : [...tree.originNames, MIXED];
    this.origin = [tree.origin[places[0]]];
    const known = new Map<number, number>();
    this.ends = places.map((node) => this.chain(node, known));
  }

  private chain(node: number, known: Map<number, number>): number {
    const { tree } = this;
    const origin = tree.origin[node];
    let at = 0;
    this.mix(at, origin);
    for (let up = tree.parent[node]; up > 0; up = tree.parent[up]) {
      const key = at * this.frames.length + tree.frameOf[up];
      let next = known.get(key);
      if (next === undefined) {
        next = this.parent.length;
        known.set(key, next);
        this.parent.push(at);
        this.frameOf.push(tree.frameOf[up]);
        this.origin.push(origin);
      }
      at = next;
      this.mix(at, origin);
    }
    return at;
  }

  private mix(at: number, origin: number): void {
    if (this.origin[at] !== origin) this.origin[at] = this.originNames.indexOf(MIXED);
  }
}
