/** Leaving things out: frames that are spliced out of their stacks, and stacks that are dropped. */

import { Matches } from "./search";
import { reshape, sameFrames, type Shaped } from "./shape";
import type { CallTree, Frame } from "./tree";

type Test = (frame: Frame) => boolean;

/** What a hidden frame has of its own is charged to the frame that called it: nothing is lost. */
export function hideFrames(tree: CallTree, test: Test): Shaped {
  const hidden = Uint8Array.from(tree.frames, (frame) => (test(frame) ? 1 : 0));
  return reshape(tree, { ...sameFrames(tree), hidden });
}

/** Only stacks through such frames: what is at or below them counts, what is above them is the way to them. */
export function focusOn(tree: CallTree, test: Test): Shaped {
  const kept = new Uint8Array(tree.size);
  const counted = new Uint8Array(tree.size);
  for (const node of new Matches(tree, test).outermost(0)) {
    kept.fill(1, node, tree.end[node]);
    counted.fill(1, node, tree.end[node]);
    for (let up = tree.parent[node]; up >= 0 && kept[up] === 0; up = tree.parent[up]) kept[up] = 1;
  }
  return reshape(tree, { ...sameFrames(tree), kept, counted, role: "focus" });
}
