import assert from "node:assert/strict";
import { test } from "node:test";
import { generalPath, mergeLayers } from "../src/merge";
import { Ranking } from "../src/rank";
import { Matches, matcher } from "../src/search";
import { CallTree, preorder } from "../src/tree";
import { columnsOf, model, treeOf } from "./sample";

const named = (tree: CallTree, name: string): number[] =>
  [...tree.frameOf.keys()].filter((node) => tree.frame(node).name === name);

test("totals fold self values up the tree", () => {
  const tree = model();
  assert.equal(tree.total(0)[0], 20 + 3 + 3 + 3 * 60);
  assert.equal(tree.total(0)[named(tree, "decode")[0]], 186);
  assert.deepEqual([tree.depth[3], tree.height[0]], [2, 4]);
});

test("a metric that does not add up is not added up", () => {
  const columns = columnsOf({
    name: "a",
    self: 1,
    children: [
      { name: "b", self: 5 },
      { name: "c", self: 3 },
    ],
  });
  const as = (fold: string): number =>
    new CallTree({ ...columns, metrics: [{ name: "m", unit: "ns", label: "M", fold }] }).total(0)[0];
  assert.deepEqual([as("sum"), as("max"), as("none")], [9, 5, 1]);
});

test("a metric that is not there is zero", () => {
  assert.equal(model().total(-1)[0], 0);
});

test("nodes in any order are brought into pre-order", () => {
  const columns = columnsOf({ name: "a", children: [{ name: "b" }, { name: "c" }, { name: "d", self: 7 }] });
  columns.parent = Int32Array.from([-1, 0, 0, 1]);
  const { columns: sorted, moved } = preorder(columns);
  const tree = new CallTree(sorted);
  assert.deepEqual([...tree.parent], [-1, 0, 1, 0]);
  assert.deepEqual([...(moved ?? [])], [0, 1, 3, 2]);
  assert.deepEqual(
    tree.children(0).map((node) => tree.frame(node).name),
    ["b", "c"],
  );
  assert.equal(tree.total(0)[1], 7);
});

test("a module path loses its numbers and nothing else", () => {
  assert.equal(generalPath("model.layers.7.mlp"), "model.layers.*.mlp");
  assert.equal(generalPath("model.layers.7"), "model.layers.*");
  assert.equal(generalPath("0.block1.experts.12.w2"), "*.block1.experts.*.w2");
  assert.equal(generalPath(""), "");
});

test("merging layers keeps every total", () => {
  const tree = model();
  const { tree: merged, to } = mergeLayers(tree);
  assert.equal(merged.total(0)[0], tree.total(0)[0]);
  const layers = named(merged, "Layer");
  assert.equal(layers.length, 1);
  assert.equal(merged.instances?.[layers[0]], 3);
  assert.equal(merged.frame(layers[0]).module, "model.layers.*");
  assert.equal(merged.total(0)[named(merged, "MLP")[0]], 120);
  for (let node = 0; node < tree.size; node++)
    assert.equal(merged.frame(to[node]).name, tree.frame(node).name);
});

test("what is no sibling is not merged", () => {
  const part = (index: number) => ({ kind: "module", name: "Layer", module: `layers.${index}`, self: 1 });
  const tree = treeOf({
    name: "run",
    children: [
      { name: "f", children: [part(0)] },
      { name: "g", children: [part(1)] },
    ],
  });
  assert.equal(mergeLayers(tree).tree.size, tree.size);
});

test("origins that differ become mixed", () => {
  const columns = columnsOf({
    name: "run",
    children: [
      { kind: "module", name: "L", module: "l.0" },
      { kind: "module", name: "L", module: "l.1" },
    ],
  });
  columns.origin = Uint8Array.from([0, 0, 1]);
  const { tree } = mergeLayers(new CallTree(columns));
  assert.deepEqual(
    [...tree.origin].map((index) => tree.originNames[index]),
    ["traced", "mixed"],
  );
});

test("matches inside matches count once", () => {
  const tree = treeOf({
    name: "run",
    self: 10,
    children: [
      { name: "f", self: 10, children: [{ name: "g", self: 10, children: [{ name: "F", self: 10 }] }] },
    ],
  });
  const test = matcher({ text: "f", regex: false });
  assert(typeof test === "function");
  const matches = new Matches(tree, test);
  assert.equal(matches.count(0), 2);
  assert.equal(matches.share(0, tree.total(0)), 30 / 40);
  assert.equal(matches.share(2, tree.total(0)), 10 / 20);
});

test("matches rank by what they hold", () => {
  const tree = model();
  const test = matcher({ text: "mlp$", regex: true });
  assert(typeof test === "function");
  const ranked = new Matches(tree, test).ranked(0, tree.total(0));
  assert.deepEqual(
    ranked.map((node) => tree.total(0)[node]),
    [60, 40, 20],
  );
});

test("a query is text, or a pattern, or nothing", () => {
  const frame = { kind: "op", name: "aten::mm(x)", full: null, file: null, line: null, module: null };
  const asks = (text: string, regex: boolean): unknown => {
    const test = matcher({ text, regex });
    return typeof test === "function" ? test(frame) : test;
  };
  assert.deepEqual([asks("MM(", false), asks("m.\\(", true), asks("^mm", true)], [true, true, false]);
  assert.equal(asks("", true), null);
  assert.equal(typeof asks("(", true), "string");
});

test("a frame that calls itself is counted once", () => {
  const tree = treeOf({
    name: "run",
    children: [
      { name: "f", self: 1, children: [{ name: "f", self: 4 }] },
      { name: "f", self: 2 },
    ],
  });
  const [top] = new Ranking(tree).rows(0, 0, -1);
  assert.deepEqual([top.frame.name, top.self, top.total, top.node], ["f", 7, 7, 2]);
});

test("ranks add up to the total", () => {
  const tree = model();
  const rows = new Ranking(tree).rows(0, 0, -1);
  assert.equal(
    rows.reduce((sum, row) => sum + row.self, 0),
    tree.total(0)[0],
  );
  assert.equal(rows[0].frame.name, "aten::mm");
  assert.equal(rows.find((row) => row.frame.name === "MLP")?.module, "model.layers.*.mlp");
});
