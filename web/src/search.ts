/** Finding frames: which nodes match, and how much of a metric they hold together. */

import type { CallTree, Frame } from "./tree";

export interface Query {
  readonly text: string;
  readonly regex: boolean;
}

/** A test of one frame; null where nothing is asked; an error message where the pattern is wrong. */
export function matcher(query: Query): ((frame: Frame) => boolean) | null | string {
  if (query.text === "") return null;
  let test: (text: string) => boolean;
  if (query.regex) {
    try {
      const pattern = new RegExp(query.text, "i");
      test = (text) => pattern.test(text);
    } catch {
      return "not a regular expression";
    }
  } else {
    const wanted = query.text.toLowerCase();
    test = (text) => text.toLowerCase().includes(wanted);
  }
  return (frame) =>
    test(frame.name) ||
    (frame.full !== null && test(frame.full)) ||
    (frame.module !== null && test(frame.module)) ||
    (frame.file !== null && test(frame.file));
}

export class Matches {
  /** 1 for each node that matches. */
  readonly hit: Uint8Array;

  constructor(
    private readonly tree: CallTree,
    test: (frame: Frame) => boolean,
  ) {
    const byFrame = new Uint8Array(tree.frames.length);
    tree.frames.forEach((frame, index) => (byFrame[index] = test(frame) ? 1 : 0));
    this.hit = new Uint8Array(tree.size);
    for (let node = 0; node < tree.size; node++) this.hit[node] = byFrame[tree.frameOf[node]];
  }

  /** Matches at or below a node that have no match between them and it: their totals add up. */
  outermost(root: number): number[] {
    const nodes = [];
    let node = root;
    while (node < this.tree.end[root]) {
      if (this.hit[node]) {
        nodes.push(node);
        node = this.tree.end[node];
      } else node++;
    }
    return nodes;
  }

  count(root: number): number {
    let count = 0;
    for (let node = root; node < this.tree.end[root]; node++) count += this.hit[node];
    return count;
  }

  /** The part of the root's total that is at or below a match. */
  share(root: number, total: Float64Array): number {
    let sum = 0;
    for (const node of this.outermost(root)) sum += total[node];
    return total[root] > 0 ? sum / total[root] : 0;
  }

  /** Outermost matches, the heaviest first. */
  ranked(root: number, total: Float64Array): number[] {
    return this.outermost(root)
      .filter((node) => total[node] > 0)
      .sort((a, b) => total[b] - total[a] || a - b);
  }
}
