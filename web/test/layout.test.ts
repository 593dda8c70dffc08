import assert from "node:assert/strict";
import { test } from "node:test";
import { layout, locate, within, type FlameSource } from "../src/layout";
import { spreadsOf } from "../src/tree";

/** Anything with numbers for nodes can be drawn: here a parent list and totals. */
function source(parents: number[], totals: number[]): FlameSource {
  const spreads = spreadsOf(parents, totals);
  return {
    root: 0,
    total: (node) => totals[node],
    spread: (node) => spreads[node],
    parent: (node) => parents[node],
    firstChild: (node) => parents.indexOf(node),
    nextSibling: (node) => parents.indexOf(parents[node], node + 1),
    label: (node) => ({ name: String(node), short: "", note: "" }),
    colour: () => "",
  };
}

const whole = { view: { from: 0, to: 1 }, width: 1000, maxDepth: 99, minWidth: 0.5 };

test("children stand side by side below their parent", () => {
  const boxes = layout(source([-1, 0, 0, 2], [100, 20, 50, 25]), whole).list();
  const at = (node: number) => boxes.find((box) => box.node === node);
  assert.deepEqual([at(0)?.x, at(0)?.width], [0, 1000]);
  assert.deepEqual([at(1)?.x, at(1)?.width], [0, 200]);
  assert.deepEqual([at(2)?.x, at(2)?.width], [200, 500]);
  assert.deepEqual([at(3)?.x, at(3)?.width, at(3)?.depth], [200, 250, 2]);
});

test("what is too narrow is drawn as one box that counts it", () => {
  const parents = [-1, ...new Array<number>(4000).fill(0), 0];
  const totals = [8000, ...new Array<number>(4000).fill(1), 4000];
  const boxes = layout(source(parents, totals), whole).list();
  assert.equal(boxes.length, 3);
  const rest = boxes.find((box) => box.node === -1);
  assert.equal(rest?.hidden, 4000);
  assert(Math.abs((rest?.width ?? 0) - 500) < 1e-6);
});

test("what is outside the view or below the last row is left out", () => {
  const tree = source([-1, 0, 0, 2], [100, 50, 50, 50]);
  const right = layout(tree, { ...whole, view: { from: 0.5, to: 1 } }).list();
  assert.deepEqual(right.map((box) => box.node).sort(), [0, 2, 3]);
  assert.equal(right.find((box) => box.node === 2)?.width, 1000);
  assert.deepEqual(
    layout(tree, { ...whole, maxDepth: 1 })
      .list()
      .map((box) => box.node)
      .sort(),
    [0, 1, 2],
  );
});

test("children never stick out of their parent", () => {
  const boxes = layout(source([-1, 0, 0, 0], [50, 60, 40, -50]), whole).list();
  assert.deepEqual(boxes.map((box) => [box.node, box.width]).sort(), [
    [0, 1000],
    [1, 600],
    [2, 400],
  ]);
});

test("a tree of nothing has no boxes", () => {
  assert.deepEqual(layout(source([-1], [0]), whole).list(), []);
});

test("a node is found where it is drawn", () => {
  const tree = source([-1, 0, 0, 2], [100, 20, 50, 25]);
  const span = locate(tree, 3);
  assert(Math.abs(span.from - 0.2) < 1e-12 && Math.abs(span.to - 0.45) < 1e-12);
  assert.deepEqual(locate(tree, 0), { from: 0, to: 1 });
});

test("a view stays inside the root", () => {
  assert.deepEqual(within({ from: -0.5, to: 0.5 }), { from: 0, to: 1 });
  assert.deepEqual(within({ from: 0.75, to: 1.25 }), { from: 0.5, to: 1 });
  const point = within({ from: 0.5, to: 0.5 });
  assert(point.to > point.from);
});
