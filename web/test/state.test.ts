import assert from "node:assert/strict";
import { test } from "node:test";
import { ClassColours } from "../src/colour";
import { printable } from "../src/data";
import { clip, formatBytes, formatNs, formatShare } from "../src/format";
import { fromFragment, nodeAt, pathOf, START, toFragment } from "../src/state";
import { model, treeOf } from "./sample";

test("a state survives the address", () => {
  const state = {
    ...START,
    metric: "alloc_bytes",
    zoom: "ab.c~2",
    query: "a&b=c #%",
    regex: true,
    merge: true,
  } as const;
  assert.deepEqual(fromFragment(`#${toFragment(state)}`), state);
  assert.equal(toFragment(START), "");
});

test("an address of anything gives a state", () => {
  assert.deepEqual(fromFragment("#order=sideways&shape=&x=y&%%%"), START);
});

test("every node has a path that leads to it", () => {
  const tree = model();
  for (let node = 0; node < tree.size; node++) {
    assert.equal(nodeAt(tree, pathOf(tree, node)), node);
    if (node > 2) assert.equal(nodeAt(tree, pathOf(tree, node, 2), 2), node);
  }
});

test("equal siblings are told apart", () => {
  const tree = treeOf({ name: "run", children: [{ name: "f" }, { name: "f" }, { name: "f" }] });
  assert.deepEqual(
    [1, 2, 3].map((node) => nodeAt(tree, pathOf(tree, node))),
    [1, 2, 3],
  );
});

test("a path that is gone leads as far as it can", () => {
  const tree = model();
  assert.equal(nodeAt(tree, `${pathOf(tree, 3)}.gone.gone`), 3);
  assert.equal(nodeAt(tree, "gone"), 0);
});

test("numbers read well", () => {
  const plain = (text: string): string => text.replaceAll("\u202f", " ");
  assert.deepEqual(
    [0, 820, 4_500, 999_600, 12_340_000, 1.4804e9, 90e9].map((ns) => plain(formatNs(ns))),
    ["0 s", "820 ns", "4.50 µs", "1.00 ms", "12.3 ms", "1.48 s", "1 min 30 s"],
  );
  assert.deepEqual(
    [0, 1000, 1536, 1 << 30].map((bytes) => plain(formatBytes(bytes))),
    ["0 B", "0.98 KiB", "1.50 KiB", "1.00 GiB"],
  );
  assert.deepEqual(
    [0, 0.0001, 0.1234, 1, NaN].map((share) => plain(formatShare(share))),
    ["0 %", "< 0.1 %", "12.3 %", "100 %", "–"],
  );
  assert.equal(clip("abcdef", 4), "abc…");
});

test("marks that hide or reorder text are shown", () => {
  assert.equal(printable("\u001b[31m\u0000\u007f"), "\u241b[31m\u2400\u2421");
  assert.equal(printable("a\u202eb\u2028c"), "a\ufffdb\ufffdc");
  assert.equal(printable("größe 日本 😀"), "größe 日本 😀");
});

test("classes have colours of their own, always the same", () => {
  const names = ["Layer", "Attention", "MLP"];
  const colours = names.map((name) => new ClassColours(model(), "light").of(name));
  assert.equal(new Set(colours).size, names.length);
  assert.deepEqual(
    names.map((name) => new ClassColours(model(), "light").of(name)),
    colours,
  );
});
