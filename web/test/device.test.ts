import assert from "node:assert/strict";
import { test } from "node:test";
import { kindColour, partColour } from "../src/colour";
import { decode } from "../src/data";
import { Facts } from "../src/facts";
import { formatFlop, formatTimes, formatValue, inSentence } from "../src/format";
import { limitsOf } from "../src/limit";
import { mergeLayers } from "../src/merge";
import { canBeWidth, forPeople, grouped } from "../src/metrics";
import { placeOf } from "../src/place";
import { Ranking } from "../src/rank";
import { matcher } from "../src/search";
import { model, treeOf } from "./sample";

const plain = (text: string): string => text.replaceAll("\u202f", " ");
const metric = (name: string, unit: string, fold = "sum") => ({ name, unit, fold, label: name });

test("operations are counted in decimal steps", () => {
  assert.deepEqual(
    [0, 512, 999.6, 1.5e6, 3.1693e10, 3.467e11, 9.9951e14, 2e21].map((count) => plain(formatFlop(count))),
    ["0 FLOP", "512 FLOP", "1.00 kFLOP", "1.50 MFLOP", "31.7 GFLOP", "347 GFLOP", "1.00 PFLOP", "2000 EFLOP"],
  );
  assert.equal(plain(formatValue(3e9, "flop")), "3.00 GFLOP");
});

test("factors and labels read well", () => {
  assert.deepEqual([0.8, 1.974, 27.51, 17014.2].map(formatTimes), ["0.80×", "1.97×", "27.5×", "17,014×"]);
  assert.deepEqual(["Wall time", "GPU idle", "FLOPs", ""].map(inSentence), [
    "wall time",
    "GPU idle",
    "FLOPs",
    "",
  ]);
});

test("metrics on offer stand in groups, time first", () => {
  const all = [
    metric("own_count", "count"),
    metric("calls", "count", "none"),
    metric("flops", "flop"),
    metric("samples", "count"),
    metric("copied_bytes", "bytes"),
    metric("device_ns", "ns"),
    metric("wall_ns", "ns"),
    metric("unknown_work", "count"),
    metric("low_occupancy_ns", "ns"),
    metric("late_ns", "ns", "max"),
    metric("joules", "J"),
  ].map(forPeople);
  assert.deepEqual(
    grouped(all.filter(canBeWidth)).map(([label, members]) => [label, ...members.map(({ name }) => name)]),
    [
      ["Time", "wall_ns", "device_ns"],
      ["Bytes", "copied_bytes"],
      ["Work", "flops"],
      ["Counts", "calls", "own_count", "samples"],
      ["Other", "joules"],
    ],
  );
});

test("a finding's frame is found by what it says of itself", () => {
  const tree = model();
  const find = (words: string) => placeOf(tree, words, 0);
  const exact = find("decode › model.layers.1.mlp › aten::mm");
  assert.equal(tree.frame(tree.parent[exact.node]).module, "model.layers.1.mlp");
  assert.deepEqual([tree.frame(exact.phase).name, exact.query], ["decode", "aten::mm"]);
  const heaviest = find("decode › model.layers.*.mlp › aten::mm");
  assert.equal(tree.frame(tree.parent[heaviest.node]).module, "model.layers.2.mlp");
});

test("a frame is found in merged layers", () => {
  const { tree } = mergeLayers(model());
  const { node } = placeOf(tree, "decode › model.layers.1.mlp › aten::mm", 0);
  assert.equal(tree.total(0)[node], 120);
});

test("names may hold what stands between names", () => {
  const tree = treeOf({
    name: "run",
    kind: "run",
    children: [{ name: "decode", kind: "phase", children: [{ name: "a › b (c:1)", kind: "op", self: 2 }] }],
  });
  const found = placeOf(tree, "decode › a › b (c:1)", 0);
  assert.deepEqual([found.node, found.query], [2, "a › b (c:1)"]);
});

test("a frame that is gone is at least searched for, in its phase", () => {
  const tree = model();
  assert.deepEqual(placeOf(tree, "load › f (x/y.py:12)", 0), { phase: 1, node: -1, query: "f" });
  assert.deepEqual(placeOf(tree, "f (x y.py:None)", 0), { phase: 0, node: -1, query: "f" });
});

test("a limit is of one step", () => {
  const row = {
    phase: "decode",
    steps: 4,
    wall_s: 0.8,
    floor_s: 0.2,
    parts_s: { floor: 0.2, "launch gaps": 0.6, copies: 0 },
    known_share: 1,
    mbu: null,
    mbu_published: 0.2,
  };
  const [limit] = limitsOf(new Facts({ roofline: [row], device: { idle_s: 0.1 } }));
  assert.deepEqual([limit.wall, limit.floor, limit.mbu, limit.mfu], [0.2, 0.05, 0.2, null]);
  assert.equal(limit.measured, false);
  assert.deepEqual(
    limit.parts.map(({ words, share }) => [words, share.toFixed(2)]),
    [
      ["floor", "0.25"],
      ["launch gaps", "0.75"],
    ],
  );
  const [onCpu] = limitsOf(new Facts({ roofline: [row], device: null }));
  assert.equal(onCpu.parts[1].words, "Python and dispatch");
});

test("without anything known there is no limit", () => {
  for (const summary of [null, {}, { roofline: [] }, { roofline: [{ phase: "decode", wall_s: 1 }] }])
    assert.deepEqual(limitsOf(new Facts(summary)), []);
});

test("a shortened name keeps the full one beside it", () => {
  const raw = {
    schema: 1,
    title: "",
    summary: null,
    strings: ["run", "kernel", "add<int>", "void add<4, int>(int*)", "void add<2, int>(int*)"],
    frames: {
      kind: [0, 1, 1],
      name: [0, 2, 2],
      full: [-1, 3, 4],
      file: [-1, -1, -1],
      line: [-1, -1, -1],
      module: [-1, -1, -1],
    },
    nodes: { up: [1, 2], frame: [0, 1, 2] },
    metrics: [{ ...metric("wall_ns", "ns"), step: [1, 1], value: [5, 7] }],
    origins: { names: ["traced"], runs: [0, 3] },
  };
  const { tree } = decode(raw);
  assert.deepEqual([tree.frame(0).full, tree.frame(1).full], [null, "void add<4, int>(int*)"]);
  const rows = new Ranking(tree).rows(0, 0, -1).filter(({ self }) => self > 0);
  assert.equal(rows.length, 2, "they are two kernels, whatever they are called");
  assert.equal(mergeLayers(tree).tree.size, 3);
  const asks = matcher({ text: "add<2", regex: false });
  assert(typeof asks === "function");
  assert.deepEqual([asks(tree.frame(1)), asks(tree.frame(2))], [false, true]);
});

test("waits and copies are told apart from other frames, and from each other", () => {
  const kinds = ["python", "module", "op", "builtin", "runtime", "kernel", "wait", "copy", "thread", "other"];
  for (const scheme of ["light", "dark"] as const) {
    assert.equal(new Set(kinds.map((kind) => kindColour(kind, scheme))).size, kinds.length);
    const parts = [
      "floor",
      "launch gaps",
      "synchronisation",
      "copies",
      "element-wise",
      "low occupancy",
      "other",
    ];
    assert.equal(new Set(parts.map((part) => partColour(part, scheme))).size, parts.length);
  }
});
