import assert from "node:assert/strict";
import { test } from "node:test";
import { stallColour } from "../src/colour";
import { modeOf } from "../src/colouring";
import { groupsOf } from "../src/stalls/colouring";
import { decodeStalls } from "../src/stalls/model";
import { treeOf } from "./sample";

const column = (name: string, unit: string, values: (number | null)[]) => ({
  name,
  unit,
  label: name,
  shown: true,
  values,
});
const RAW = {
  strings: ["gemm", "void gemm<4>()", "decode", "memory", "bell\u0007"],
  table: {
    id: "stalls",
    title: "Stalls",
    columns: [
      column("name", "text", [0, 4]),
      column("full_name", "text", [1, -1]),
      column("phase", "text", [2, 2]),
      column("device_ns", "ns", [900, 100]),
      column("bound", "text", [3, -1]),
      column("not_issued_share", "share", [0.8, null]),
      column("device_memory", "share", [0.75, 0]),
      column("barriers", "share", [0.25, 1]),
      column("long_scoreboard", "share", [0.75, 0]),
      column("barrier", "share", [0.25, 1]),
      column("tex_throttle", "share", [0, 0]),
      column("barrier_not_issued", "share", [0.2, 1]),
    ],
    count: 2,
    left_out: 0,
    notes: [],
  },
  groups: [
    ["device memory", "waits", "fewer bytes"],
    ["barriers", "waits", "fewer barriers"],
  ],
  reasons: [
    ["long_scoreboard", "device memory", "Waits.", "Fewer bytes."],
    ["barrier", "barriers", "Waits.", "Fewer barriers."],
  ],
  phases: [
    {
      phase: "decode",
      samples: 12,
      busy_ns: 1000,
      explained_share: 1,
      groups_ns: { "device memory": 675, barriers: 325, other: 0 },
    },
  ],
};

test("a kernel has its groups and reasons, the largest first, and no others", () => {
  const [gemm, other] = decodeStalls(RAW).kernels;
  assert.deepEqual(
    gemm.reasons.map(({ name, share }) => [name, share]),
    [
      ["long_scoreboard", 0.75],
      ["barrier", 0.25],
    ],
  );
  assert.deepEqual(
    other.groups.map(({ name }) => name),
    ["barriers"],
  );
  assert.deepEqual([gemm.bound, gemm.lost, other.bound, other.lost], ["memory", 0.8, null, null]);
  assert.ok(!other.name.includes("\u0007"));
});

test("a phase's groups are shares of its explained time", () => {
  const [decode] = decodeStalls(RAW).phases;
  assert.deepEqual(
    decode.groups.map(({ name, share }) => [name, share]),
    [
      ["device memory", 0.675],
      ["barriers", 0.325],
    ],
  );
});

test("the table leaves out what no kernel has, and the lost part of each reason", () => {
  const { table } = decodeStalls(RAW);
  const shown = table.columns.filter((one) => one.shown).map(({ name }) => name);
  assert.ok(shown.includes("long_scoreboard") && !shown.includes("tex_throttle"));
  assert.ok(!shown.includes("barrier_not_issued"));
});

const TREE = treeOf({
  kind: "run",
  name: "run",
  children: [
    {
      kind: "kernel",
      name: "gemm",
      children: [
        { kind: "stall_group", name: "barriers", children: [{ kind: "stall", name: "barrier", self: 3 }] },
      ],
    },
    { kind: "kernel", name: "barriers", self: 1 },
  ],
});

test("frames belong to the group at or above them, whatever they are called", () => {
  assert.deepEqual(groupsOf(TREE), [null, null, "barriers", "barriers", null]);
});

test("colours of stalls are offered where there are stalls", () => {
  assert.equal(modeOf("stalls", TREE).name, "stalls");
  assert.equal(modeOf("stalls", treeOf({ name: "run" })).name, "kind");
  const colouring = modeOf("stalls", TREE).start(TREE, "light", "wall_ns");
  assert.equal(colouring.of(2), stallColour("barriers", "light"));
  assert.deepEqual(
    [0, 2, 3, 4].map((node) => colouring.group(node)),
    ["outside kernels", "barriers", "barriers", "kernels without reasons"],
  );
});
