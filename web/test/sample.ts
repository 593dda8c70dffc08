/** A small tree for tests, written as nested frames. */

import { CallTree, preorder, type Columns, type Frame } from "../src/tree";

export interface Sketch {
  kind?: string;
  name: string;
  module?: string;
  self?: number;
  children?: Sketch[];
}

export function columnsOf(sketch: Sketch): Columns {
  const frames: Frame[] = [];
  const parent: number[] = [];
  const own: number[] = [];
  const add = (item: Sketch, up: number): void => {
    const node = parent.length;
    frames.push({
      kind: item.kind ?? "python",
      name: item.name,
      full: null,
      file: null,
      line: null,
      module: item.module ?? null,
    });
    parent.push(up);
    own.push(item.self ?? 0);
    for (const child of item.children ?? []) add(child, node);
  };
  add(sketch, -1);
  return {
    frames,
    parent: Int32Array.from(parent),
    frameOf: Int32Array.from(frames.keys()),
    metrics: [{ name: "wall_ns", unit: "ns", fold: "sum", label: "Wall time" }],
    selfs: [Float64Array.from(own)],
    originNames: ["traced", "sampled"],
    origin: new Uint8Array(parent.length),
  };
}

export function treeOf(sketch: Sketch): CallTree {
  return new CallTree(preorder(columnsOf(sketch)).columns);
}

function layer(index: number, ms: number): Sketch {
  const path = `model.layers.${index}`;
  return {
    kind: "module",
    name: "Layer",
    module: path,
    self: 1,
    children: [
      {
        kind: "module",
        name: "Attention",
        module: `${path}.self_attn`,
        children: [{ kind: "op", name: "aten::mm", self: ms }],
      },
      {
        kind: "module",
        name: "MLP",
        module: `${path}.mlp`,
        children: [{ kind: "op", name: "aten::mm", self: 2 * ms }],
      },
    ],
  };
}

/** run > decode > three layers of attention and MLP, and load beside decode. */
export function model(): CallTree {
  return treeOf({
    kind: "run",
    name: "run",
    children: [
      { kind: "phase", name: "load", self: 20 },
      { kind: "phase", name: "decode", self: 3, children: [layer(0, 10), layer(1, 20), layer(2, 30)] },
    ],
  });
}
