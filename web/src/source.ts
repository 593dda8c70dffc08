/** A call tree, seen through one metric and in one order, as the flame graph draws it. */

import type { Colouring } from "./colouring";
import { formatCount, shortFile } from "./format";
import type { FlameLabel, FlameSource } from "./layout";
import type { CallTree, Frame } from "./tree";

const NONE = -1;
const UNKNOWN = -2;

export class TreeSource implements FlameSource {
  readonly root = 0;
  private readonly totals: Float64Array;
  private readonly spreads: Float64Array;
  private readonly labels: (FlameLabel | undefined)[] = [];
  /** The heaviest child and the next lighter sibling, where that is the order. */
  private readonly heaviest: Int32Array;
  private readonly lighter: Int32Array;

  constructor(
    private readonly tree: CallTree,
    metric: number,
    private readonly order: "call" | "heavy",
    private readonly colouring: Colouring,
  ) {
    this.totals = tree.total(metric);
    this.spreads = tree.spread(metric);
    const size = order === "heavy" ? tree.size : 0;
    this.heaviest = new Int32Array(size).fill(UNKNOWN);
    this.lighter = new Int32Array(size).fill(NONE);
  }

  total(node: number): number {
    return this.totals[node];
  }

  parent(node: number): number {
    return this.tree.parent[node];
  }

  spread(node: number): number {
    return this.spreads[node];
  }

  firstChild(node: number): number {
    if (this.order === "call") return this.tree.firstChild(node);
    if (this.heaviest[node] === UNKNOWN) this.sort(node);
    return this.heaviest[node];
  }

  nextSibling(node: number): number {
    return this.order === "call" ? this.tree.nextSibling(node) : this.lighter[node];
  }

  children(node: number): number[] {
    const children = [];
    for (let child = this.firstChild(node); child >= 0; child = this.nextSibling(child)) children.push(child);
    return children;
  }

  private sort(node: number): void {
    const { totals } = this;
    const sorted = this.tree
      .children(node)
      .slice()
      .sort((a, b) => totals[b] - totals[a] || a - b);
    this.heaviest[node] = sorted[0] ?? NONE;
    sorted.forEach((child, at) => (this.lighter[child] = sorted[at + 1] ?? NONE));
  }

  label(node: number): FlameLabel {
    return (this.labels[node] ??= this.describe(node));
  }

  colour(node: number): string {
    return this.colouring.of(node);
  }

  private describe(node: number): FlameLabel {
    const frame = this.tree.frame(node);
    const count = this.tree.instances?.[node] ?? 1;
    const times = count > 1 && frame.kind === "module" ? `× ${formatCount(count)}` : "";
    let place = "";
    if (frame.kind === "module") place = frame.module ?? "";
    else if (frame.file !== null)
      place = shortFile(frame.file) + (frame.line === null ? "" : `:${frame.line}`);
    return {
      name: frame.name,
      short: shortName(frame),
      note: [place, times].filter((part) => part !== "").join("  "),
    };
  }
}

/** What tells a frame from its neighbours: `7` of `model.layers.7`, `mm` of `aten::mm`, `generate` of `Mixin.generate`. */
function shortName(frame: Frame): string {
  if (frame.kind === "module") return (frame.module ?? "").split(".").pop() || frame.name;
  if (frame.kind === "op") return frame.name.replace(/^\w+::/, "");
  if (frame.kind === "kernel") return frame.name.split("<")[0] || frame.name;
  return frame.kind === "python" ? (frame.name.split(".").pop() ?? frame.name) : frame.name;
}
