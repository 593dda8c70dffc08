/** Merging layers: the thirty instances of one layer become one, with all that is below them. */

import { CallTree, preorder, type Frame } from "./tree";

export interface Merged {
  tree: CallTree;
  /** For each node of the recorded tree, its node in the merged one. */
  to: Int32Array;
}

/** `model.layers.7.mlp` -> `model.layers.*.mlp` */
export function generalPath(module: string): string {
  return module.replace(/(^|\.)\d+(?=\.|$)/g, "$1*");
}

/** What a frame is apart from the number of the layer that it belongs to. */
export function generalFrame(frame: Frame): Frame {
  return frame.module === null ? frame : { ...frame, module: generalPath(frame.module) };
}

export function mergeLayers(tree: CallTree): Merged {
  const { frames, classOf } = generalFrames(tree.frames);
  const to = new Int32Array(tree.size);
  const parent: number[] = [];
  const frameOf: number[] = [];
  const instances: number[] = [];
  const seen = new Map<number, number>();
  for (let node = 0; node < tree.size; node++) {
    const up = node === 0 ? -1 : to[tree.parent[node]];
    const frame = classOf[tree.frameOf[node]];
    const key = (up + 1) * frames.length + frame;
    let merged = seen.get(key);
    if (merged === undefined) {
      merged = parent.length;
      seen.set(key, merged);
      parent.push(up);
      frameOf.push(frame);
      instances.push(0);
    }
    instances[merged]++;
    to[node] = merged;
  }
  const { origin, originNames } = mergeOrigins(tree, to, parent.length);
  const { columns, moved } = preorder({
    frames,
    parent: Int32Array.from(parent),
    frameOf: Int32Array.from(frameOf),
    metrics: tree.metrics,
    selfs: tree.metrics.map((metric, index) => gather(tree.self(index), to, parent.length, metric.fold)),
    origin,
    originNames,
    instances: Int32Array.from(instances),
  });
  return { tree: new CallTree(columns), to: moved === null ? to : to.map((node) => moved[node]) };
}

function generalFrames(frames: readonly Frame[]): { frames: Frame[]; classOf: Int32Array } {
  const index = new Map<string, number>();
  const general: Frame[] = [];
  const classOf = Int32Array.from(frames, (frame) => {
    const kept = generalFrame(frame);
    const key = JSON.stringify([kept.kind, kept.full ?? kept.name, kept.file, kept.line, kept.module]);
    let at = index.get(key);
    if (at === undefined) {
      at = general.length;
      index.set(key, at);
      general.push(kept);
    }
    return at;
  });
  return { frames: general, classOf };
}

function gather(own: Float64Array, to: Int32Array, size: number, how: string): Float64Array {
  const sums = new Float64Array(size);
  for (let node = 0; node < own.length; node++) {
    if (how === "sum") sums[to[node]] += own[node];
    else sums[to[node]] = Math.max(sums[to[node]], own[node]);
  }
  return sums;
}

function mergeOrigins(tree: CallTree, to: Int32Array, size: number) {
  const originNames = [...tree.originNames, "mixed"];
  const mixed = originNames.length - 1;
  const unset = 255;
  const origin = new Uint8Array(size).fill(unset);
  for (let node = 0; node < tree.size; node++) {
    const at = to[node];
    if (origin[at] === unset) origin[at] = tree.origin[node];
    else if (origin[at] !== tree.origin[node]) origin[at] = mixed;
  }
  return { origin, originNames };
}
