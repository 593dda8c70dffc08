/** Rows of boxes made of what a thread did, one below the other. Pure. */

import type { Row } from "./model";

/** Deeper frames are drawn no more: nobody sees them. */
const MOST_ROWS = 96;

/**
 * Boxes of the frames above each of the nodes, from start to end; the next start is not before that. Frames that go
 * on from one to the next are one box; a gap ends them all.
 */
export function stackRows(
  nodes: ArrayLike<number>,
  starts: ArrayLike<number>,
  ends: ArrayLike<number>,
  pathOf: (node: number) => number[],
): Row[] {
  const rows: RowBuilder[] = [];
  const opened: { node: number; since: number }[] = [];
  const paths = new Map<number, number[]>();
  const close = (depth: number, now: number): void => {
    while (opened.length > depth) {
      const { node: what, since } = opened.pop() as { node: number; since: number };
      if (opened.length < MOST_ROWS) (rows[opened.length] ??= new RowBuilder()).add(since, now, what);
    }
  };
  for (let at = 0; at < nodes.length; at++) {
    let path = paths.get(nodes[at]);
    if (path === undefined) paths.set(nodes[at], (path = pathOf(nodes[at])));
    if (at > 0 && ends[at - 1] < starts[at]) close(0, ends[at - 1]);
    let same = 0;
    while (same < opened.length && same < path.length && opened[same].node === path[same]) same++;
    close(same, starts[at]);
    for (const what of path.slice(same)) opened.push({ node: what, since: starts[at] });
  }
  close(0, ends[ends.length - 1] ?? 0);
  return rows.map((row) => row.row());
}

export class RowBuilder {
  private readonly start: number[] = [];
  private readonly end: number[] = [];
  private readonly what: number[] = [];

  add(start: number, end: number, what: number): void {
    this.start.push(start);
    this.end.push(Math.max(start, end));
    this.what.push(what);
  }

  get until(): number {
    return this.end[this.end.length - 1] ?? -Infinity;
  }

  row(): Row {
    return {
      start: Float64Array.from(this.start),
      end: Float64Array.from(this.end),
      what: Int32Array.from(this.what),
      launched: null,
      bytes: null,
    };
  }
}
