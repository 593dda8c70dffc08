/** What a view shows, and its form in the address: so that a view can be sent to somebody. */

import type { CallTree, Frame } from "./tree";

export interface ViewState {
  metric: string;
  /** The frame that fills the width, as a path (see `pathOf`); empty: the whole run. */
  zoom: string;
  /** The selected frame, below the zoomed one; empty: the zoomed one. */
  at: string;
  query: string;
  regex: boolean;
  order: "call" | "heavy";
  shape: "icicle" | "flame";
  /** The name of a colour mode (see `colouring`). */
  colour: string;
  merge: boolean;
  /** A single traced step, as in `decode.8`; empty: all. */
  step: string;
  /** Patterns (see `pattern`) of frames that are spliced out, and of those whose stacks alone are shown. */
  hide: string;
  focus: string;
  /** The frame whose callers are shown; empty: the tree stands as it was recorded. */
  callers: string;
}

export const START: ViewState = {
  metric: "",
  zoom: "",
  at: "",
  query: "",
  regex: false,
  order: "call",
  shape: "icicle",
  colour: "kind",
  merge: false,
  step: "",
  hide: "",
  focus: "",
  callers: "",
};

export function toFragment(state: ViewState): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (value !== START[key as keyof ViewState]) pairs.set(key, value === true ? "1" : String(value));
  }
  return pairs.toString();
}

/** Reads what it knows and leaves the rest at its start value. */
export function fromFragment(fragment: string): ViewState {
  const pairs = new URLSearchParams(fragment.replace(/^#/, ""));
  const text = (key: string): string => pairs.get(key) ?? "";
  return {
    metric: text("metric"),
    zoom: text("zoom"),
    at: text("at"),
    query: text("query"),
    regex: text("regex") === "1",
    order: text("order") === "heavy" ? "heavy" : "call",
    shape: text("shape") === "flame" ? "flame" : "icicle",
    colour: text("colour") || START.colour,
    merge: text("merge") === "1",
    step: text("step"),
    hide: text("hide"),
    focus: text("focus"),
    callers: text("callers"),
  };
}

/** FNV-1a: the same text gives the same number everywhere and always. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

const STEPS = new WeakMap<Frame, string>();

/** Four letters of a hash, made once for each frame. */
function step(frame: Frame): string {
  let letters = STEPS.get(frame);
  if (letters === undefined) {
    const told = `${frame.kind}\n${frame.name}\n${frame.module ?? ""}`;
    letters = hash(told).toString(36).slice(-4);
    STEPS.set(frame, letters);
  }
  return letters;
}

/**
 * A node as the steps from `top` down to it: four letters of a hash for each frame, and which of its equals
 * it is. It survives a new recording of the same program, where an index would not.
 */
export function pathOf(tree: CallTree, node: number, top = 0): string {
  const steps = [];
  for (let at = node; at > top; at = tree.parent[at]) {
    const name = step(tree.frame(at));
    const equals = tree.children(tree.parent[at]).filter((child) => step(tree.frame(child)) === name);
    const which = equals.indexOf(at);
    steps.push(which > 0 ? `${name}~${which}` : name);
  }
  return steps.reverse().join(".");
}

/** The node at a path, or the deepest one on the way that is still there. */
export function nodeAt(tree: CallTree, path: string, top = 0): number {
  let node = top;
  if (path === "") return node;
  for (const part of path.split(".")) {
    const [name, which] = part.split("~");
    const equals = tree.children(node).filter((child) => step(tree.frame(child)) === name);
    const next = equals[Number(which ?? 0)] ?? equals[0];
    if (next === undefined) break;
    node = next;
  }
  return node;
}
