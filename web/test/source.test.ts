import assert from "node:assert/strict";
import { test } from "node:test";
import type { Colouring } from "../src/colouring";
import { blend } from "../src/palette";
import { TreeSource } from "../src/source";
import { treeOf } from "./sample";

const NO_COLOURS: Colouring = {
  title: "",
  of: () => "",
  group: () => "",
  entry: () => ({ colour: "", label: "" }),
};

const tree = treeOf({
  name: "run",
  children: [
    { name: "light", self: 1, children: [{ name: "below", self: 2 }] },
    { name: "heavy", self: 9 },
    { name: "middle", self: 5 },
  ],
});

function named(nodes: readonly number[]): string[] {
  return nodes.map((node) => tree.frame(node).name);
}

test("in the order of calls, children are those of the tree", () => {
  const source = new TreeSource(tree, 0, "call", NO_COLOURS);
  for (let node = 0; node < tree.size; node++)
    assert.deepEqual(source.children(node), [...tree.children(node)]);
});

test("the heaviest first, however often it is asked", () => {
  const source = new TreeSource(tree, 0, "heavy", NO_COLOURS);
  assert.deepEqual(named(source.children(0)), ["heavy", "middle", "light"]);
  assert.deepEqual(named(source.children(0)), ["heavy", "middle", "light"]);
  assert.deepEqual(named(source.children(1)), ["below"]);
  assert.deepEqual(source.children(2), []);
  assert.equal(source.nextSibling(0), -1);
});

test("a colour over another", () => {
  assert.equal(blend(0xff000000, 0xffffffff, 0.5), 0xff808080);
  assert.equal(blend(0xff102030, 0xff405060, 0), 0xff102030);
  assert.equal(blend(0xff102030, 0xff405060, 1), 0xff405060);
});
