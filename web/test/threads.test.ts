import assert from "node:assert/strict";
import test from "node:test";

import { Timeline, type RawTimeline } from "../src/timeline/model";
import { stackRows } from "../src/timeline/stacks";

/** load > submit > (other threads > job > read), and load > wait. */
const NODES = ["load", "submit", "worker threads", "job", "read", "wait"];
const KINDS = ["phase", "python", "thread", "python", "builtin", "python"];
const TIMELINE: RawTimeline = {
  windows: [
    {
      id: "start",
      label: "cold start",
      phase: null,
      step: null,
      traced: false,
      wall_ns: 100,
      dropped: 0,
      spans: { node: [0], start: [0], duration: [100] },
      threads: [
        { label: "main thread, sampled", node: [5], start: [10], duration: [90] },
        {
          label: "pool_0\u0007, sampled",
          node: [4, -1, 1, -2],
          start: [10, 20, 40, 20],
          duration: [20, 10, 20, 5],
        },
        { label: "idle, sampled", node: [], start: [], duration: [] },
      ],
      more_threads: 2,
      memory: [],
    },
  ],
  left_out: [],
  too_many: [],
  unknown: [],
  without_threads: ["warmup"],
  nodes: {
    up: [0, 1, 1, 1, 1, 5],
    frame: [0, 1, 2, 3, 4, 5],
    frames: {
      kind: KINDS.map((_, at) => at),
      name: NODES.map((_, at) => at + KINDS.length),
      file: [-1, -1, -1, -1, -1, -1],
      line: [-1, -1, -1, -1, -1, -1],
      module: [-1, -1, -1, -1, -1, -1],
    },
  },
  strings: [...KINDS, ...NODES],
};

function told(label: string): string[][] {
  const timeline = new Timeline(TIMELINE);
  const lane = timeline.lanes(0).find((one) => one.label.startsWith(label));
  assert.ok(lane !== undefined && lane.kind === "thread");
  return lane.rows.map((row) =>
    [...row.what].map((node, at) => `${timeline.frame(node).name} ${row.start[at]}-${row.end[at]}`),
  );
}

test("a thread's lane begins below what gave it its work, and has gaps", () => {
  assert.deepEqual(told("pool_0"), [
    ["job 10-40", "job 70-90", "worker threads 90-95"],
    ["read 10-30", "read 70-90"],
  ]);
  assert.deepEqual(told("main thread"), [["wait 10-100"]]);
});

test("threads are the last lanes, and one that did nothing is none", () => {
  const timeline = new Timeline(TIMELINE);
  assert.deepEqual(
    timeline.lanes(0).map(({ kind, label }) => `${kind}: ${label}`),
    ["spans: phases and steps", "thread: main thread, sampled", "thread: pool_0␇, sampled"],
  );
  assert.equal(timeline.windows[0].moreThreads, 2);
  assert.deepEqual(timeline.withoutThreads, ["warmup"]);
});

test("stacks without gaps are closed where the last one ends", () => {
  const paths = [[], [1], [1, 2]];
  const rows = stackRows([1, 2, 0, 2], [0, 5, 8, 9], [5, 8, 9, 20], (node) => paths[node]);
  assert.deepEqual(
    rows.map(({ start, end }) => [[...start], [...end]]),
    [
      [
        [0, 9],
        [8, 20],
      ],
      [
        [5, 9],
        [8, 20],
      ],
    ],
  );
  assert.deepEqual(
    stackRows([], [], [], () => []),
    [],
  );
});
