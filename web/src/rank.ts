/** Frames by their own share of a metric, wherever they were called from. */

import { generalPath } from "./merge";
import type { CallTree, Frame } from "./tree";

export interface Ranked {
  frame: Frame;
  /** The instance that has most of it. */
  node: number;
  self: number;
  /** Counted once where the frame calls itself. */
  total: number;
  calls: number;
  /** The owning module, or its general path; null: none, or several. */
  module: string | null;
}

export class Ranking {
  private readonly groupOf: Int32Array;
  private readonly groups: Frame[] = [];
  private readonly modules: (string | null)[] = [];
  private last: { root: number; metric: number; calls: number; rows: Ranked[] } | null = null;

  constructor(private readonly tree: CallTree) {
    const index = new Map<string, number>();
    this.groupOf = Int32Array.from(tree.frames, (frame) => {
      const key = JSON.stringify([frame.kind, frame.full ?? frame.name, frame.file, frame.line]);
      const module = frame.module === null ? null : generalPath(frame.module);
      let group = index.get(key);
      if (group === undefined) {
        group = this.groups.length;
        index.set(key, group);
        this.groups.push(frame);
        this.modules.push(module);
      } else if (this.modules[group] !== module) this.modules[group] = null;
      return group;
    });
  }

  /** Frames at or below the root that have any of the metric, the heaviest first; the same list where asked again. */
  rows(root: number, metric: number, calls: number): readonly Ranked[] {
    const { last } = this;
    if (last?.root === root && last.metric === metric && last.calls === calls) return last.rows;
    const rows = this.count(root, metric, calls);
    this.last = { root, metric, calls, rows };
    return rows;
  }

  private count(root: number, metric: number, calls: number): Ranked[] {
    const own = this.tree.self(metric);
    const total = this.tree.total(metric);
    const called = calls < 0 ? null : this.tree.self(calls);
    const rows: (Ranked | undefined)[] = new Array<Ranked | undefined>(this.groups.length);
    const until = new Int32Array(this.groups.length);
    for (let node = root; node < this.tree.end[root]; node++) {
      const group = this.groupOf[this.tree.frameOf[node]];
      const row = (rows[group] ??= this.start(group, node));
      row.self += own[node];
      if (called !== null) row.calls += called[node];
      if (own[node] > own[row.node]) row.node = node;
      if (node >= until[group]) {
        row.total += total[node];
        until[group] = this.tree.end[node];
      }
    }
    return rows
      .filter((row): row is Ranked => row !== undefined && (row.self > 0 || row.total > 0))
      .sort((a, b) => b.self - a.self || b.total - a.total || a.node - b.node);
  }

  private start(group: number, node: number): Ranked {
    return { frame: this.groups[group], node, self: 0, total: 0, calls: 0, module: this.modules[group] };
  }

  /** Whether two frames are the same place in the program, whichever module they serve. */
  alike(one: number, other: number): boolean {
    return this.groupOf[this.tree.frameOf[one]] === this.groupOf[this.tree.frameOf[other]];
  }
}
