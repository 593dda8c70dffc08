/** A call tree, seen through one metric and in one order, as the flame graph draws it. */

import type { Colouring } from "./colouring";
import { formatCount, shortFile } from "./format";
import { spreadOf, type FlameLabel, type FlameSource } from "./layout";
import type { CallTree, Frame } from "./tree";

export class TreeSource implements FlameSource {
  readonly root = 0;
  private readonly totals: Float64Array;
  private readonly ordered: (readonly number[] | undefined)[] = [];
  private readonly labels: (FlameLabel | undefined)[] = [];
  /** 0: not asked for yet. */
  private readonly spreads: Float64Array;

  constructor(
    private readonly tree: CallTree,
    metric: number,
    private readonly order: "call" | "heavy",
    private readonly colouring: Colouring,
  ) {
    this.totals = tree.total(metric);
    this.spreads = new Float64Array(tree.size);
  }

  total(node: number): number {
    return this.totals[node];
  }

  parent(node: number): number {
    return this.tree.parent[node];
  }

  spread(node: number): number {
    return (this.spreads[node] ||= spreadOf(this, node, this.tree.children(node)));
  }

  children(node: number): readonly number[] {
    const called = this.tree.children(node);
    if (this.order === "call" || called.length < 2) return called;
    return (this.ordered[node] ??= called.slice().sort((a, b) => this.totals[b] - this.totals[a] || a - b));
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
