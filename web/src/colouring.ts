/** By what frames are coloured: one entry for each way, with what its legend says. */

import { bandsOf, BEFORE, byChange } from "./change_colour";
import {
  categories,
  categoryColour,
  ClassColours,
  frameColour,
  kindColour,
  KIND_NAMES,
  owners,
  type Scheme,
} from "./colour";
import type { Facts } from "./facts";
import { clip } from "./format";
import { byRoofline } from "./ratio";
import { byStall } from "./stalls/colouring";
import { hash } from "./state";
import type { CallTree } from "./tree";

/** Colours of one tree's nodes. */
export interface Colouring {
  of(node: number): string;
  /** Which of the legend's entries a node belongs to. */
  group(node: number): string;
  /** An entry of the legend: its colour and what it is called. */
  entry(group: string): { colour: string; label: string };
  /** Entries in an order of their own; where it is left out, the largest comes first. */
  readonly order?: readonly string[];
  /** What is said before the entries. */
  readonly title: string;
}

export interface ColourMode {
  /** As it stands in the address. */
  readonly name: string;
  readonly label: string;
  /** Whether the tree holds what the colours tell. */
  offered(tree: CallTree): boolean;
  /** Whether the colours are those of the metric that is looked at. */
  readonly followsMetric?: boolean;
  start(tree: CallTree, scheme: Scheme, metric: string): Colouring;
}

const OUTSIDE = "outside modules";
const LABEL = 32;

export const MODES: readonly ColourMode[] = [
  { name: "kind", label: "Kind", offered: () => true, start: byKind },
  {
    name: "class",
    label: "Module class",
    offered: (tree) => tree.frames.some(({ kind }) => kind === "module"),
    start: byClass,
  },
  {
    name: "roofline",
    label: "Share of roofline",
    offered: (tree) => tree.total(tree.metric("floor_ns"))[0] > 0,
    start: byRoofline,
  },
  {
    name: "stalls",
    label: "Why kernels wait",
    offered: (tree) => tree.frames.some(({ kind }) => kind === "stall_group"),
    start: byStall,
  },
];

/** Beside another run its change is one more. */
export function modesFor(compared: Facts | null): readonly ColourMode[] {
  if (compared === null) return MODES;
  const bands = bandsOf(compared);
  const change: ColourMode = {
    name: "change",
    label: "Change",
    offered: (tree) => tree.metrics.some(({ name }) => name.endsWith(BEFORE)),
    followsMetric: true,
    start: (tree, scheme, metric) => byChange(tree, scheme, metric, bands),
  };
  return [...MODES, change];
}

/** The mode of that name, or the first where the tree can't be coloured so. */
export function modeOf(name: string, tree: CallTree, modes = MODES): ColourMode {
  return modes.find((mode) => mode.name === name && mode.offered(tree)) ?? modes[0];
}

/** Bytes that are held are coloured by what they are held as. */
function byKind(tree: CallTree, scheme: Scheme): Colouring {
  const category = tree.held ? categories(tree) : [];
  const made: (string | undefined)[] = [];
  return {
    title: "Self share",
    of(node) {
      const held = category[node] ?? null;
      if (held !== null) return categoryColour(held, scheme, hash(tree.frame(node).name) % 4);
      const index = tree.frameOf[node];
      return (made[index] ??= frameColour(tree.frames[index], scheme));
    },
    group: (node) => (tree.held ? (category[node] ?? OUTSIDE) : tree.frame(node).kind),
    entry: (group) =>
      tree.held
        ? { colour: categoryColour(group, scheme), label: clip(group, LABEL) }
        : { colour: kindColour(group, scheme), label: KIND_NAMES[group] ?? clip(group, LABEL) },
  };
}

function byClass(tree: CallTree, scheme: Scheme): Colouring {
  const owner = owners(tree);
  const classes = new ClassColours(tree, scheme);
  const made = new Map<string | null, string>();
  return {
    title: "Self share",
    of(node) {
      const name = owner[node];
      let colour = made.get(name);
      if (colour === undefined) made.set(name, (colour = classes.of(name)));
      return colour;
    },
    group: (node) => owner[node] ?? OUTSIDE,
    entry: (group) => ({ colour: classes.of(group === OUTSIDE ? null : group), label: clip(group, LABEL) }),
  };
}
