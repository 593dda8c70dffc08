/** Merging layers: the thirty instances of one layer become one, with all that is below them. */

import { reshape, type Shaped } from "./shape";
import type { CallTree, Frame } from "./tree";

/** `model.layers.7.mlp` -> `model.layers.*.mlp` */
export function generalPath(module: string): string {
  return module.replace(/(^|\.)\d+(?=\.|$)/g, "$1*");
}

/** What a frame is apart from the number of the layer that it belongs to. */
export function generalFrame(frame: Frame): Frame {
  return frame.module === null ? frame : { ...frame, module: generalPath(frame.module) };
}

export function mergeLayers(tree: CallTree): Shaped {
  return reshape(tree, generalFrames(tree.frames));
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
