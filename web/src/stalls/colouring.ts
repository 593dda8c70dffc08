/** Frames by what the warps of their kernels wait for; everything else steps back. */

import type { Colouring } from "../colouring";
import { frameColour, kindColour, stallColour, type Scheme } from "../colour";
import type { CallTree } from "../tree";

const UNKNOWN = "kernels without reasons";
const OUTSIDE = "outside kernels";

export function byStall(tree: CallTree, scheme: Scheme): Colouring {
  const groups = groupsOf(tree);
  return {
    title: "Self share",
    of(node) {
      const group = groups[node];
      if (group !== null) return stallColour(group, scheme, tree.frame(node).kind === "stall" ? 1 : 3);
      const frame = tree.frame(node);
      return frame.kind === "phase" ? frameColour(frame, scheme) : kindColour("run", scheme);
    },
    group(node) {
      const { kind } = tree.frame(node);
      return groups[node] ?? (kind === "kernel" ? UNKNOWN : OUTSIDE);
    },
    entry: (group) => ({
      colour: group === UNKNOWN || group === OUTSIDE ? kindColour("run", scheme) : stallColour(group, scheme),
      label: group,
    }),
  };
}

/** By node: the group at or above it; null outside of all groups. */
export function groupsOf(tree: CallTree): (string | null)[] {
  const found: (string | null)[] = [];
  for (let node = 0; node < tree.size; node++) {
    const { kind, name } = tree.frame(node);
    found.push(kind === "stall_group" ? name : (found[tree.parent[node]] ?? null));
  }
  return found;
}
