import assert from "node:assert/strict";
import { test } from "node:test";
import { bandsOf, baseOf, changeColour, ChangePalette, isNoise, strength } from "../src/change_colour";
import { asChange } from "../src/compare";
import { sortedBy } from "../src/compare_table";
import { Facts } from "../src/facts";
import { CallTree } from "../src/tree";
import { columnsOf } from "./sample";

const COMPARED = new Facts({ noise: { decode: { low: 0.95, high: 1.05, least_ns: 2 } } });

function compared(): CallTree {
  const columns = columnsOf({
    kind: "run",
    name: "run",
    children: [
      {
        kind: "phase",
        name: "decode",
        children: [
          { name: "same", self: 100 },
          { name: "noisy", self: 103 },
          { name: "more", self: 150 },
          { name: "less", self: 50 },
          { name: "new", self: 40 },
          { name: "gone", self: 0 },
          { name: "short", self: 2 },
        ],
      },
      { kind: "phase", name: "load", children: [{ name: "once", self: 70 }] },
    ],
  });
  const before = [0, 0, 100, 100, 100, 100, 0, 40, 1, 0, 10];
  return new CallTree({
    ...columns,
    metrics: [...columns.metrics, { name: "wall_ns@before", unit: "ns", fold: "sum", label: "A" }],
    selfs: [...columns.selfs, Float64Array.from(before)],
  });
}

test("a change is coloured where it is no noise and its phase was repeated", () => {
  const tree = compared();
  const palette = new ChangePalette(tree, "wall_ns@before", bandsOf(COMPARED), "light");
  const by = (name: string): number =>
    palette.change([...tree.frameOf.keys()].find((node) => tree.frame(node).name === name) ?? -1);
  assert.deepEqual(["same", "noisy", "short", "once"].map(by), [0, 0, 0, 0]);
  assert.deepEqual([by("new"), by("gone"), by("less")], [1, -1, -1]);
  assert.ok(by("more") > 0.5 && by("more") < 0.6);
  assert.equal(palette.of(2), changeColour(0, "light"));
});

test("a tree without the other run's numbers has no colours of change", () => {
  const tree = new CallTree(columnsOf({ name: "run", self: 3 }));
  assert.equal(new ChangePalette(tree, "wall_ns", new Map(), "dark").change(0), 0);
});

test("strength is the same for twice and half", () => {
  assert.equal(strength(1, 2), 1);
  assert.equal(strength(2, 1), -1);
  assert.equal(strength(1, 8), 1);
  assert.equal(strength(0, 5), 1);
  assert.equal(strength(5, 0), -1);
  assert.equal(strength(0, 0), 0);
  assert.ok(isNoise(0, 1, { low: 0.9, high: 1.1, least: 1 }));
});

test("every strength has a colour of its own in both schemes", () => {
  for (const scheme of ["light", "dark"] as const) {
    const colours = [-1, -0.5, 0, 0.5, 1].map((change) => changeColour(change, scheme));
    assert.equal(new Set(colours).size, colours.length);
  }
});

test("metrics know the side that they are of", () => {
  assert.deepEqual(["wall_ns", "wall_ns@before", "wall_ns@larger"].map(baseOf), [
    "wall_ns",
    "wall_ns",
    "wall_ns",
  ]);
  assert.equal(baseOf("held_bytes@decode"), "held_bytes@decode");
});

test("rows are sorted with what is unknown last", () => {
  const rows = [3, null, 1, 2].map((value) => ({ value }));
  const key = (row: { value: number | null }): number | null => row.value;
  assert.deepEqual(sortedBy(rows, key, true).map(key), [1, 2, 3, null]);
  assert.deepEqual(sortedBy(rows, key, false).map(key), [3, 2, 1, null]);
});

test("ratios are told as changes", () => {
  assert.equal(asChange(1.067), "+6.7\u202f%");
  assert.equal(asChange(0.9), "-10.0\u202f%");
  assert.equal(asChange(3.6), "×3.60");
  assert.equal(asChange(null), "–");
});
