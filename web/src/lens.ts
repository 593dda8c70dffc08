/** How a tree is looked through: merged, without some frames, only some stacks, or a frame's callers. */

import { callersOf } from "./callers";
import { focusOn, hideFrames } from "./focus";
import { mergeLayers } from "./merge";
import { meant } from "./pattern";
import { after, unchanged, type Shaped } from "./shape";
import type { ViewState } from "./state";
import type { CallTree, Frame } from "./tree";

export type Lens = Pick<ViewState, "merge" | "hide" | "focus" | "callers">;

const KEPT = 6;

export interface Seen extends Shaped {
  /** What of the lens could not be had, in words; empty where all could. */
  complaint: string;
}

export class Lenses {
  private readonly seen = new Map<CallTree, Map<string, Seen>>();

  of(base: CallTree, { merge, hide, focus, callers }: Lens): Seen {
    const key = JSON.stringify([merge, hide, focus, callers]);
    let known = this.seen.get(base);
    if (known === undefined) this.seen.set(base, (known = new Map<string, Seen>()));
    let found = known.get(key);
    if (found === undefined) {
      found = through(base, { merge, hide, focus, callers });
      if (known.size >= KEPT) known.delete(known.keys().next().value ?? "");
      known.set(key, found);
    }
    return found;
  }
}

function through(base: CallTree, lens: Lens): Seen {
  const complaints: string[] = [];
  let shaped = unchanged(base);
  if (lens.merge) shaped = after(shaped, mergeLayers(base));
  const steps: [string, string, (tree: CallTree, test: (frame: Frame) => boolean) => Shaped | null][] = [
    ["hide", lens.hide, hideFrames],
    ["focus", lens.focus, focusOn],
    ["callers", lens.callers, callersOf],
  ];
  for (const [name, pattern, apply] of steps) {
    const test = meant(pattern);
    if (test === null) continue;
    if (typeof test === "string") {
      complaints.push(`${name}: ${test}`);
      continue;
    }
    const some = shaped.tree.frameOf.some((frame, node) => node > 0 && test(shaped.tree.frames[frame]));
    const next = some || name === "callers" ? apply(shaped.tree, test) : null;
    if (next === null) complaints.push(`${name}: no such frame`);
    else shaped = after(shaped, next);
  }
  return { ...shaped, complaint: complaints.join("; ") };
}
