/** Trees made of trees: nodes that meet become one, nodes that are spliced out leave theirs to their parent. */

import { CallTree, preorder, type Columns, type Frame } from "./tree";

export interface Shaped {
  tree: CallTree;
  /** For each node of the tree that it was made of, its node in the new one; -1: it is not in it. */
  to: Int32Array;
}

export interface Plan {
  /** Frames of the new tree, and for each old frame its index among them. */
  frames: readonly Frame[];
  classOf: Int32Array;
  /** 1 for each old frame that is spliced out. */
  hidden?: Uint8Array;
  /** 1 for each old node that goes on being one; all do where it is left out. */
  kept?: Uint8Array;
  /** 1 for each kept node whose own values count; all do where it is left out. */
  counted?: Uint8Array;
  role?: Columns["role"];
}

/** Siblings of one frame become one node. The root stays. */
export function reshape(tree: CallTree, plan: Plan): Shaped {
  const { frames, classOf, hidden, kept, counted } = plan;
  const to = new Int32Array(tree.size).fill(-1);
  const parent: number[] = [];
  const frameOf: number[] = [];
  const instances: number[] = [];
  const seen = new Map<number, number>();
  for (let node = 0; node < tree.size; node++) {
    if (node > 0 && kept?.[node] === 0) continue;
    const up = node === 0 ? -1 : to[tree.parent[node]];
    if (node > 0 && hidden?.[tree.frameOf[node]] === 1) {
      to[node] = up;
      continue;
    }
    const frame = classOf[tree.frameOf[node]];
    const key = (up + 1) * frames.length + frame;
    let made = seen.get(key);
    if (made === undefined) {
      made = parent.length;
      seen.set(key, made);
      parent.push(up);
      frameOf.push(frame);
      instances.push(0);
    }
    instances[made] += tree.instances?.[node] ?? 1;
    to[node] = made;
  }
  const uncounted = (node: number): boolean => to[node] < 0 || counted?.[node] === 0;
  return build(to, {
    frames,
    parent: Int32Array.from(parent),
    frameOf: Int32Array.from(frameOf),
    metrics: tree.metrics,
    selfs: tree.metrics.map((metric, index) =>
      gather(tree.self(index), to, parent.length, metric.fold, uncounted),
    ),
    ...mergeOrigins(tree, to, parent.length),
    instances: Int32Array.from(instances),
    role: plan.role ?? tree.role,
  });
}

function build(to: Int32Array, columns: Columns): Shaped {
  const { columns: sorted, moved } = preorder(columns);
  return {
    tree: new CallTree(sorted),
    to: moved === null ? to : to.map((node) => (node < 0 ? -1 : moved[node])),
  };
}

/** Every frame as it is. */
export function sameFrames(tree: CallTree): Pick<Plan, "frames" | "classOf"> {
  return { frames: tree.frames, classOf: Int32Array.from(tree.frames.keys()) };
}

/** One shape after the other. */
export function after(first: Shaped, second: Shaped): Shaped {
  return { tree: second.tree, to: first.to.map((node) => (node < 0 ? -1 : second.to[node])) };
}

export function unchanged(tree: CallTree): Shaped {
  return { tree, to: Int32Array.from({ length: tree.size }, (_, node) => node) };
}

function gather(
  own: Float64Array,
  to: Int32Array,
  size: number,
  how: string,
  leaveOut: (node: number) => boolean,
): Float64Array {
  const sums = new Float64Array(size);
  for (let node = 0; node < own.length; node++) {
    if (own[node] === 0 || leaveOut(node)) continue;
    if (how === "sum") sums[to[node]] += own[node];
    else sums[to[node]] = Math.max(sums[to[node]], own[node]);
  }
  return sums;
}

export const MIXED = "mixed";
const UNSET = 255;

/** Of nodes that become one: their origin, or that they have several. */
export function mergeOrigins(tree: CallTree, to: Int32Array, size: number) {
  const originNames = tree.originNames.includes(MIXED) ? tree.originNames : [...tree.originNames, MIXED];
  const mixed = originNames.indexOf(MIXED);
  const origin = new Uint8Array(size).fill(UNSET);
  for (let node = 0; node < tree.size; node++) {
    const at = to[node];
    if (at < 0) continue;
    if (origin[at] === UNSET) origin[at] = tree.origin[node];
    else if (origin[at] !== tree.origin[node]) origin[at] = mixed;
  }
  return { origin, originNames };
}
