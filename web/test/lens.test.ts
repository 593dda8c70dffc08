import assert from "node:assert/strict";
import { test } from "node:test";
import { callersOf } from "../src/callers";
import { MODES, modeOf } from "../src/colouring";
import { focusOn, hideFrames } from "../src/focus";
import { Lenses } from "../src/lens";
import { withLine } from "../src/lenses";
import { canBeWidth, forPeople, stepOf, wholeOf } from "../src/metrics";
import { mergeLayers } from "../src/merge";
import { Model } from "../src/model";
import { identity, meaning, meant } from "../src/pattern";
import { shareOfRoofline } from "../src/ratio";
import { Matches } from "../src/search";
import { fromFragment, START, toFragment } from "../src/state";
import { CallTree, preorder, type Frame } from "../src/tree";
import { columnsOf, model, treeOf, type Sketch } from "./sample";

const NAMES = "abcdef";

/** The same numbers each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A random tree whose six frames call each other and themselves, with time and calls. */
function random(seed: number, size = 120): CallTree {
  const next = numbers(seed);
  const frames: Frame[] = [...NAMES].map((name) => ({
    kind: name < "c" ? "module" : "python",
    name,
    full: null,
    file: null,
    line: null,
    module: name < "c" ? `layers.${name === "a" ? 0 : 1}` : null,
  }));
  frames.push({ kind: "run", name: "run", full: null, file: null, line: null, module: null });
  const parent = [-1];
  for (let node = 1; node < size; node++) parent.push(Math.floor(next() * node));
  const { columns } = preorder({
    frames,
    parent: Int32Array.from(parent),
    frameOf: Int32Array.from(parent, (up) => (up < 0 ? NAMES.length : Math.floor(next() * NAMES.length))),
    metrics: [
      { name: "wall_ns", unit: "ns", fold: "sum", label: "Wall time" },
      { name: "calls", unit: "count", fold: "sum", label: "Calls" },
    ],
    selfs: [0, 1].map(() => Float64Array.from(parent, () => Math.floor(next() * 100))),
    originNames: ["traced", "sampled"],
    origin: Uint8Array.from(parent, () => (next() < 0.5 ? 0 : 1)),
  });
  return new CallTree(columns);
}

const called =
  (...names: string[]) =>
  (frame: Frame): boolean =>
    names.includes(frame.name);
const sum = (values: Iterable<number>): number => [...values].reduce((all, value) => all + value, 0);
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed + 1);

/** What a frame takes, counted once where it calls itself. */
function totalOf(tree: CallTree, name: string): number {
  return sum(new Matches(tree, called(name)).outermost(0).map((node) => tree.total(0)[node]));
}

/** Equal frames as one, as pages have them. */
const shared = (sketch: Sketch): CallTree => mergeLayers(treeOf(sketch)).tree;

function check(tree: CallTree): void {
  for (let node = 1; node < tree.size; node++)
    assert(tree.parent[node] < node && tree.contains(tree.parent[node], node));
  for (let node = 0; node < tree.size; node++) {
    const frames = tree.children(node).map((child) => tree.frameOf[child]);
    assert.equal(new Set(frames).size, frames.length, "siblings of one frame are one node");
  }
}

test("callers divide a frame's total, whatever calls what", () => {
  for (const seed of SEEDS) {
    const tree = random(seed);
    for (const name of NAMES) {
      const turned = callersOf(tree, called(name));
      if (turned === null) continue;
      check(turned.tree);
      assert.equal(turned.tree.total(0)[0], totalOf(tree, name));
      assert.equal(turned.tree.frame(0).name, name);
      for (let node = 0; node < turned.tree.size; node++) {
        const below = sum(turned.tree.children(node).map((child) => turned.tree.total(0)[child]));
        assert.equal(turned.tree.total(0)[node], below + turned.tree.self(0)[node]);
      }
      for (let node = 1; node < turned.tree.size; node++) assert.notEqual(turned.tree.frame(node).name, name);
    }
  }
});

test("a caller's part is what the frame takes on its behalf", () => {
  const tree = shared({
    name: "run",
    children: [
      { name: "g", children: [{ name: "f", self: 3, children: [{ name: "f", self: 4 }] }] },
      {
        name: "h",
        self: 50,
        children: [
          { name: "f", self: 5 },
          { name: "g", children: [{ name: "f", self: 1 }] },
        ],
      },
    ],
  });
  const shaped = callersOf(tree, called("f"));
  assert(shaped !== null);
  const turned = shaped.tree;
  const told = [...turned.frameOf.keys()].map((node) => [
    turned
      .path(node)
      .map((at) => turned.frame(at).name)
      .join("<"),
    turned.total(0)[node],
  ]);
  assert.deepEqual(told, [
    ["f", 13],
    ["f<g", 8],
    ["f<g<h", 1],
    ["f<h", 5],
  ]);
  assert.equal(turned.role, "callers");
  assert.deepEqual(shaped.to[2], 0);
  assert.equal(callersOf(tree, called("nobody")), null);
});

test("calls by caller are those of the frame itself", () => {
  const columns = columnsOf({
    name: "run",
    children: [{ name: "f", self: 7, children: [{ name: "g", self: 100 }] }],
  });
  const metrics = [{ name: "calls", unit: "count", fold: "sum", label: "Calls" }];
  const shaped = callersOf(new CallTree({ ...columns, metrics }), called("f"));
  assert.equal(shaped?.tree.total(0)[0], 7);
});

test("hiding charges frames to their callers and loses nothing", () => {
  for (const seed of SEEDS) {
    const tree = random(seed);
    const { tree: rest, to } = hideFrames(tree, called("a", "d"));
    check(rest);
    for (const metric of [0, 1]) assert.equal(rest.total(metric)[0], tree.total(metric)[0]);
    assert(![...rest.frameOf].some((frame) => called("a", "d")(rest.frames[frame])));
    for (let node = 1; node < tree.size; node++)
      assert.equal(to[node] === to[tree.parent[node]], called("a", "d")(tree.frame(node)));
  }
});

test("the root is never hidden", () => {
  const { tree } = hideFrames(model(), () => true);
  assert.deepEqual([tree.size, tree.total(0)[0]], [1, model().total(0)[0]]);
});

test("a hidden frame's self is its caller's", () => {
  const tree = shared({
    name: "run",
    children: [
      {
        name: "f",
        self: 1,
        children: [
          { name: "x", self: 2, children: [{ name: "g", self: 4 }] },
          { name: "g", self: 8 },
        ],
      },
    ],
  });
  const { tree: rest } = hideFrames(tree, called("x"));
  assert.deepEqual([...rest.self(0)], [0, 3, 12]);
});

test("focus keeps what is through a frame, and nothing else counts", () => {
  for (const seed of SEEDS) {
    const tree = random(seed);
    for (const name of NAMES) {
      const { tree: kept, to } = focusOn(tree, called(name));
      check(kept);
      assert.equal(kept.total(0)[0], totalOf(tree, name));
      for (let node = 1; node < tree.size; node++) {
        const on = tree.path(node).some((at) => called(name)(tree.frame(at)));
        const above = new Matches(tree, called(name)).count(node) > 0;
        assert.equal(to[node] >= 0, on || above);
      }
    }
  }
});

test("lenses are looked through one after the other", () => {
  const tree = model();
  const lens = { merge: true, hide: "Attention", focus: "mlp", callers: "" };
  const lenses = new Lenses();
  const seen = lenses.of(tree, lens);
  assert.equal(seen.complaint, "");
  assert.equal(seen.tree.total(0)[0], 120);
  assert.equal(lenses.of(tree, { ...lens }), seen, "kept, not made again");
  const turned = lenses.of(tree, { ...lens, callers: identity(tree.frame(5)) });
  assert.equal(turned.tree.frame(0).name, tree.frame(5).name);
  assert.equal(turned.tree.total(0)[0], 120);
  assert.equal(turned.to.length, tree.size);
});

test("what is not there is said, and changes nothing", () => {
  const tree = model();
  const seen = new Lenses().of(tree, { merge: false, hide: "/(/", focus: "nothing like it", callers: "=zz" });
  assert.equal(seen.tree, tree);
  assert.equal(
    seen.complaint,
    "hide: not a regular expression; focus: no such frame; callers: no such frame",
  );
});

test("a pattern is text, an expression, a frame, or several of them", () => {
  const frame = model().frame(5);
  const asks = (text: string): unknown => {
    const means = meant(text);
    return typeof means === "function" ? means(frame) : means;
  };
  const exact = identity(frame);
  assert.equal(frame.name, "aten::mm");
  assert.deepEqual(
    [asks("N::m"), asks("/^mm/"), asks("/^aten::/"), asks(exact), asks("=00")],
    [true, false, true, true, false],
  );
  assert.deepEqual([asks("x\naten"), asks(""), asks("x\n/(/")], [true, null, "not a regular expression"]);
  assert.equal(meaning(model().frames, exact), "aten::mm");
  assert.equal(withLine(withLine("a\nb", "c"), "a"), "b\nc\na");
});

test("a sent view is the same view", () => {
  const state = {
    ...START,
    step: "decode.8",
    hide: "/^aten::/\n=1x2y",
    focus: "a&b #",
    callers: "=abc",
    colour: "roofline",
    shape: "flame",
  } as const;
  assert.deepEqual(fromFragment(`#${toFragment(state)}`), state);
});

function stepped(): CallTree {
  const columns = columnsOf({
    name: "run",
    kind: "run",
    children: [{ name: "decode", kind: "phase", children: [{ name: "f", kind: "op", self: 9 }] }],
  });
  const of = (name: string, unit = "ns") => forPeople({ name, unit, fold: "sum", label: name });
  return new CallTree({
    ...columns,
    metrics: [
      of("wall_ns"),
      of("allocated_bytes", "bytes"),
      of("floor_ns"),
      of("wall_ns@decode.8"),
      of("calls@decode.8", "count"),
    ],
    selfs: [
      [0, 0, 90],
      [0, 0, 64],
      [0, 0, 45],
      [0, 1, 9],
      [0, 0, 3],
    ].map((own) => Float64Array.from(own)),
  });
}

test("a step is a part of the run, not a width", () => {
  const tree = stepped();
  assert.deepEqual(
    tree.metrics.filter(canBeWidth).map(({ name }) => name),
    ["wall_ns", "allocated_bytes", "floor_ns"],
  );
  assert.deepEqual(stepOf(tree.metrics[3]), {
    metric: "wall_ns",
    name: "decode.8",
    phase: "decode",
    words: "decode step 8",
  });
  assert.equal(stepOf({ ...tree.metrics[3], name: "held_bytes@decode.8" }), null);
  assert.deepEqual([wholeOf(tree, 0), wholeOf(tree, 3)], ["run", "decode step 8"]);
});

test("step and metric agree: what was asked for last stays", () => {
  const page = new Model({
    title: "",
    summary: null,
    tree: stepped(),
    memory: null,
    compared: null,
    sections: {},
  });
  assert.deepEqual(
    page.steps.map(({ name }) => name),
    ["decode.8"],
  );
  page.change({ step: "decode.8" });
  assert.deepEqual([page.state.metric, page.tree.total(page.metric)[0], page.calls], ["wall_ns", 10, 4]);
  page.change({ metric: "allocated_bytes" });
  assert.deepEqual([page.state.step, page.tree.total(page.metric)[0]], ["", 64]);
  page.change({ step: "decode.8" });
  assert.deepEqual([page.state.metric, page.state.step], ["wall_ns", "decode.8"]);
  page.restore("#step=decode.9");
  assert.equal(page.state.step, "");
});

test("a place is kept where the tree still has it", () => {
  const page = new Model({
    title: "",
    summary: null,
    tree: model(),
    memory: null,
    compared: null,
    sections: {},
  });
  const mlp =
    [...page.tree.frameOf.keys()].find((node) => page.tree.frame(node).module === "model.layers.2.mlp") ?? 0;
  page.goTo(mlp, mlp);
  page.change({ hide: "/^Layer$/" });
  assert.equal(page.tree.frame(page.zoom).module, "model.layers.2.mlp");
  page.change({ focus: "layers.0" });
  assert.equal(page.zoom, 0, "dropped");
  page.change({ hide: "", focus: "" });
  page.goTo(mlp, mlp);
  page.change({ callers: identity(page.tree.frame(mlp)) });
  assert.deepEqual([page.zoom, page.selected, page.tree.frame(0).name], [0, 0, "MLP"]);
  page.change({ callers: "" });
  assert.equal(page.tree.frame(page.selected).module, "model.layers.2.mlp", "the heaviest");
});

test("share of roofline is floor over time, where both are known", () => {
  const tree = stepped();
  assert.equal(shareOfRoofline(tree, 2), 0.5);
  assert.equal(shareOfRoofline(model(), 2), null);
  const colouring = modeOf("roofline", tree).start(tree, "light", "");
  assert.equal(colouring.group(2), "30 to 60 %");
  assert.equal(colouring.of(2), colouring.entry("30 to 60 %").colour);
  assert.equal(modeOf("roofline", model()).name, "kind", "not offered without floors");
  assert.equal(modeOf("no such mode", tree).name, "kind");
});

test("the scale is told by lightness alone, in both themes", () => {
  const tree = stepped();
  for (const scheme of ["light", "dark"] as const) {
    const colouring = modeOf("roofline", tree).start(tree, scheme, "");
    const scale = (colouring.order ?? [])
      .slice(0, -1)
      .map((group) => Number(/\(([\d.]+)/.exec(colouring.entry(group).colour)?.[1]));
    const steps = scale.slice(1).map((lightness, at) => lightness - scale[at]);
    assert(steps.every((step) => Math.abs(step) > 0.04 && step > 0 === steps[0] > 0));
  }
});

test("every colour mode has an entry for every frame's group", () => {
  const tree = stepped();
  for (const mode of MODES.filter((one) => one.offered(tree)))
    for (let node = 0; node < tree.size; node++) {
      const colouring = mode.start(tree, "dark", "");
      assert.match(colouring.entry(colouring.group(node)).colour, /^oklch/);
      assert.match(colouring.of(node), /^oklch/);
    }
});
