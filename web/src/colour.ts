/** Colours of frames: by what they are, or by the class of the module that they belong to. */

import { hash } from "./state";
import type { CallTree, Frame } from "./tree";

export type Scheme = "light" | "dark";

/** [hue, chroma factor]: lightness is the scheme's, so that text reads equally well on all of them. */
type Tint = readonly [hue: number, strength: number];

const KINDS: Record<string, Tint> = {
  run: [70, 0.12],
  phase: [70, 0.25],
  python: [250, 0.7],
  module: [165, 0.85],
  op: [80, 1],
  builtin: [290, 0.6],
  runtime: [330, 0.75],
  kernel: [28, 1.05],
  wait: [120, 0.8],
  copy: [195, 1],
  stall_group: [350, 0.75],
  stall: [350, 0.5],
  instruction: [230, 0.35],
  thread: [215, 0.5],
  memory: [55, 0.8],
  other: [70, 0.1],
};

export const KIND_NAMES: Record<string, string> = {
  run: "Run",
  phase: "Phase",
  python: "Python",
  module: "Module",
  op: "Operator",
  builtin: "Builtin",
  runtime: "Runtime call",
  kernel: "Kernel",
  wait: "Waiting for GPU",
  copy: "Copy",
  stall_group: "Why it waits",
  stall: "Stall reason",
  instruction: "Instruction",
  thread: "Thread",
  memory: "Held as",
  other: "Other",
};

const PHASES: Record<string, Tint> = {
  startup: [70, 0.18],
  import: [250, 0.75],
  load: [290, 0.75],
  warmup: [70, 0.4],
  tokenize: [335, 0.7],
  prepare: [215, 0.6],
  prefill: [55, 1.1],
  decode: [165, 0.95],
  detokenize: [335, 0.45],
};

const CLASS_HUES = [28, 55, 85, 125, 160, 190, 220, 250, 280, 310, 335, 5];
const GREY: Tint = [70, 0.08];

function paint([hue, strength]: Tint, scheme: Scheme, shade: number): string {
  const lightness = scheme === "light" ? 0.885 - shade * 0.014 : 0.415 + shade * 0.014;
  const chroma = (scheme === "light" ? 0.075 : 0.078) * strength;
  return `oklch(${lightness.toFixed(3)} ${chroma.toFixed(4)} ${hue})`;
}

/** Phases are stronger than what is below them: they are the map of the page. */
export function phaseColour(name: string, scheme: Scheme): string {
  const [hue, strength] = PHASES[name] ?? [CLASS_HUES[hash(name) % CLASS_HUES.length], 0.7];
  return paint([hue, strength * 1.3], scheme, 4);
}

export function kindColour(kind: string, scheme: Scheme): string {
  return paint(KINDS[kind] ?? GREY, scheme, 1.5);
}

/** What bytes are held as: see store/categories.py. */
const CATEGORIES: Record<string, Tint> = {
  weights: [250, 0.95],
  "checkpoint pages": [215, 0.6],
  "kv cache": [165, 1.1],
  activations: [85, 1.15],
  temporaries: [55, 1.15],
  "other tensors": [125, 0.8],
  workspace: [190, 1],
  "allocator slack": [335, 0.75],
  "CUDA context and libraries": [290, 0.8],
  "other processes": [310, 0.5],
  pinned: [5, 0.8],
  "Python and libraries": [290, 0.5],
  other: [70, 0.12],
};

export function categoryColour(category: string, scheme: Scheme, shade = 3): string {
  return paint(CATEGORIES[category] ?? GREY, scheme, shade);
}

/** What a kernel's warps wait for: see analysis/stalls/reasons.py. */
const STALLS: Record<string, Tint> = {
  "device memory": [250, 1.1],
  "shared memory": [195, 1.1],
  barriers: [325, 1],
  "instruction fetch": [85, 1.2],
  arithmetic: [28, 1.2],
  issuing: [145, 1.2],
  other: [70, 0.12],
};

export function stallColour(group: string, scheme: Scheme, shade = 3): string {
  return paint(STALLS[group] ?? GREY, scheme, shade);
}

/** Layers of the charts over time, from below: host, then device. */
const LAYERS: Record<string, Tint> = {
  anonymous: [250, 1],
  "file-backed": [85, 1],
  "shared or pinned": [5, 0.9],
  allocated: [165, 1.1],
  "reserved, not allocated": [335, 0.8],
  "in use beyond the allocator": [290, 0.7],
  "in use, not told apart": [70, 0.15],
};

export function layerColour(label: string, scheme: Scheme): string {
  return paint(LAYERS[label] ?? GREY, scheme, 5);
}

/** What a step's time went into, in the colours of the frames that hold it. */
const PARTS: Record<string, Tint> = {
  floor: [145, 1.4],
  "launch gaps": KINDS["python"],
  synchronisation: KINDS["wait"],
  copies: KINDS["copy"],
  "element-wise": KINDS["op"],
  "low occupancy": KINDS["runtime"],
  other: KINDS["kernel"],
};

export function partColour(part: string, scheme: Scheme): string {
  return paint(PARTS[part] ?? GREY, scheme, 2);
}

/**
 * A colour for each module class: the one that its name hashes to, or the next that no class before it in the
 * alphabet has taken. The same model has the same colours in each report.
 */
export class ClassColours {
  private readonly tints = new Map<string, Tint>();

  constructor(
    tree: CallTree,
    private readonly scheme: Scheme,
  ) {
    const names = new Set(tree.frames.filter(({ kind }) => kind === "module").map(({ name }) => name));
    const taken = new Set<number>();
    for (const name of [...names].sort()) {
      let slot = hash(name) % CLASS_HUES.length;
      if (taken.size === CLASS_HUES.length) taken.clear();
      while (taken.has(slot)) slot = (slot + 5) % CLASS_HUES.length;
      taken.add(slot);
      this.tints.set(name, [CLASS_HUES[slot], 0.75 + ((hash(name) >>> 16) % 3) * 0.13]);
    }
  }

  /** Null: outside all modules. */
  of(name: string | null): string {
    return paint((name === null ? undefined : this.tints.get(name)) ?? GREY, this.scheme, 1.5);
  }
}

/** The class of the module that owns each node, or null: the nearest module at or above it. */
export function owners(tree: CallTree): (string | null)[] {
  const owner: (string | null)[] = new Array<string | null>(tree.size).fill(null);
  for (let node = 0; node < tree.size; node++) {
    const frame = tree.frame(node);
    if (frame.kind === "module") owner[node] = frame.name;
    else if (tree.parent[node] >= 0) owner[node] = owner[tree.parent[node]];
  }
  return owner;
}

/** What each node's bytes are held as, or null: the nearest category at or above it. */
export function categories(tree: CallTree): (string | null)[] {
  const found: (string | null)[] = [];
  for (let node = 0; node < tree.size; node++) {
    const { kind, name } = tree.frame(node);
    found.push(kind === "memory" ? name : (found[tree.parent[node]] ?? null));
  }
  return found;
}

export function frameColour(frame: Frame, scheme: Scheme): string {
  if (frame.kind === "phase") return phaseColour(frame.name, scheme);
  return paint(KINDS[frame.kind] ?? GREY, scheme, hash(frame.name) % 4);
}
