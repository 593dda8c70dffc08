import assert from "node:assert/strict";
import { test } from "node:test";
import { asText, decodeTable, numbers, rowsOf, summed, type RawTable } from "../src/columns";
import { SectionPlaces } from "../src/place_in_sections";
import {
  along,
  ceilingsInWords,
  decades,
  decodeRoofline,
  reachable,
  type Ceiling,
} from "../src/roofline/model";
import { decodeSteps, differencesOf, growthOf, nearest, ticks, tookMemory } from "../src/steps/model";
import { frameName } from "../src/tables/section";
import {
  boxAt,
  firstAfter,
  idleOf,
  linksOf,
  strokesOf,
  Timeline,
  type RawTimeline,
} from "../src/timeline/model";

const RAW: RawTable = {
  id: "ops",
  title: "Operators",
  columns: [
    { name: "name", unit: "text", label: "Name", shown: true, values: [0, 1, 2, -1] },
    { name: "self_ns", unit: "ns", label: "Self", shown: true, values: [30, null, 20, 40] },
    { name: "full", unit: "text", label: "Full", shown: false, values: [-1, -1, 3, -1] },
  ],
  count: 4,
  left_out: 0,
  notes: [],
};
const OPS = decodeTable(RAW, ["aten::mm", "=cmd|' /C'!A0", "aten::\tadd", "long"]);

test("rows are sorted with the unknown last, whatever the order", () => {
  assert.deepEqual(rowsOf(OPS, "", "self_ns", false), [3, 0, 2, 1]);
  assert.deepEqual(rowsOf(OPS, "", "self_ns", true), [2, 0, 3, 1]);
  assert.deepEqual(rowsOf(OPS, "", "no such column", true), [0, 1, 2, 3]);
});

test("a filter looks into every text, hidden ones too, without regard to case", () => {
  assert.deepEqual(rowsOf(OPS, "ATEN", "", false), [0, 2]);
  assert.deepEqual(rowsOf(OPS, " long ", "", false), [2]);
  assert.deepEqual(rowsOf(OPS, "nothing", "", false), []);
});

test("copied text has all columns, one line a row, and no formulas", () => {
  const lines = asText(OPS, [0, 1, 2]).split("\n");
  assert.equal(lines.length, 5);
  assert.equal(lines[0], "name\tself_ns\tfull");
  assert.equal(lines[1], "aten::mm\t30\t");
  assert.ok(lines[2].startsWith("'=cmd"));
  assert.equal(lines[3], "aten:: add\t20\tlong");
});

test("a column that is empty isn't shown", () => {
  const bare = { ...RAW, columns: [{ ...RAW.columns[1], values: [null, null, null, null] }] };
  assert.equal(decodeTable(bare, []).columns[0].shown, false);
  assert.deepEqual(numbers(OPS, "self_ns"), [30, null, 20, 40]);
  assert.deepEqual([...summed([5, 1, -2])], [5, 6, 4]);
});

test("a row's frame is found by its name", () => {
  const functions = (words: string): string =>
    frameName(
      {
        ...OPS,
        id: "functions",
        columns: [{ name: "function", unit: "text", label: "", shown: true, values: [words] }],
      },
      0,
    );
  assert.equal(functions("a/b(c).py:12(forward)"), "forward");
  assert.equal(functions("{built-in Tensor.to}"), "Tensor.to");
  assert.equal(functions("{unattributed}"), "unattributed");
  assert.equal(functions("Linear.__call__"), "Linear");
  assert.equal(frameName(OPS, 0), "aten::mm");
});

test("sections and the graph share the address", () => {
  let changes = 0;
  const places = new SectionPlaces(["timeline", "tables"], () => changes++);
  places.read("#metric=wall_ns&timeline.window=decode.8&other.key=1&tables.filter=a%26b");
  assert.equal(places.of("timeline").get("window"), "decode.8");
  assert.equal(places.of("tables").get("filter"), "a&b");
  assert.equal(places.without("#metric=wall_ns&timeline.window=x"), "metric=wall_ns");
  assert.equal(places.without("#other.key=1"), "other.key=1");
  places.of("tables").set({ filter: "", sort: "name~up" });
  assert.equal(changes, 1);
  assert.equal(places.join("metric=x"), "metric=x&tables.sort=name%7Eup&timeline.window=decode.8");
  const again = new SectionPlaces(["timeline", "tables"], () => undefined);
  again.read(places.join(""));
  assert.equal(again.join(""), places.join(""));
});

/** decode > generate > (forward > aten::mm > cudaLaunchKernel > kernel), sample; two streams. */
const NODES = ["decode", "generate", "forward", "LlamaMLP", "aten::mm", "cudaLaunchKernel", "gemm", "sample"];
const KINDS = ["phase", "python", "python", "module", "op", "runtime", "kernel", "python"];
const TIMELINE: RawTimeline = {
  windows: [
    {
      id: "prefill.0",
      label: "prefill step 0",
      phase: "prefill",
      step: 0,
      traced: true,
      wall_ns: 10,
      dropped: 0,
      threads: [],
      more_threads: 0,
      memory: [],
    },
    {
      id: "decode.1",
      label: "decode step 1",
      phase: "decode",
      step: 1,
      traced: true,
      wall_ns: 100,
      dropped: 0,
      slices: { node: [1, 3, 1, -4, 6], start: [0, 10, 10, 10, 30] },
      works: {
        node: [6, 0, 0],
        stream: [7, 7, 8],
        start: [40, 9, -5],
        duration: [10, 20, 5],
        ago: [20, 15, -1],
        bytes: [-1, 64, -1],
      },
      gaps: { start: [0, 80], duration: [40, 20], cause: ["launch-bound Python", "synchronisation"] },
      threads: [],
      more_threads: 0,
      memory: [{ label: "host, resident", time: [0, 50], bytes: [10, 5] }],
    },
  ],
  left_out: [],
  too_many: [],
  unknown: ["tokenize"],
  without_threads: [],
  nodes: {
    up: [0, 1, 1, 1, 1, 1, 1, 6],
    frame: [0, 1, 2, 3, 4, 5, 6, 7],
    frames: {
      kind: KINDS.map((_, at) => at),
      name: NODES.map((_, at) => at + KINDS.length),
      file: [-1, 16, 16, -1, -1, -1, -1, 16],
      line: [-1, 3, 4, -1, -1, -1, -1, 5],
      module: [-1, -1, -1, 17, -1, -1, -1, -1],
    },
  },
  strings: [...KINDS, ...NODES, "a.py", "model.layers.0.mlp"],
};

test("slices become frames that nest and go on", () => {
  const timeline = new Timeline(TIMELINE);
  const host = timeline.lanes(1).find(({ kind }) => kind === "host");
  assert.ok(host !== undefined);
  const told = host.rows.map((row) =>
    [...row.what].map((node, at) => `${timeline.frame(node).name} ${row.start[at]}-${row.end[at]}`),
  );
  assert.deepEqual(told, [
    ["generate 0-100"],
    ["forward 10-30", "sample 60-100"],
    ["LlamaMLP 10-30"],
    ["aten::mm 10-30"],
    ["cudaLaunchKernel 20-30"],
  ]);
  assert.equal(timeline.first, 1);
});

test("a child lies within its parent", () => {
  const rows = new Timeline(TIMELINE).lanes(1).find(({ kind }) => kind === "host")?.rows ?? [];
  rows.slice(1).forEach((row, above) =>
    row.what.forEach((_, at) => {
      const parent = boxAt(rows[above], row.start[at]);
      assert.ok(parent >= 0 && rows[above].end[parent] >= row.end[at]);
    }),
  );
});

test("a stream does one thing at a time, and knows its launches", () => {
  const lanes = new Timeline(TIMELINE).lanes(1);
  const at = lanes.findIndex(({ label }) => label === "stream 7");
  const [row] = lanes[at].rows;
  assert.deepEqual([...row.start], [40, 50]);
  assert.deepEqual([...row.end], [50, 69]);
  assert.deepEqual(linksOf(lanes, { lane: at, row: 0, at: 0 }, 9), [{ launched: 20, start: 40, lane: at }]);
  const host = lanes.findIndex(({ kind }) => kind === "host");
  assert.equal(linksOf(lanes, { lane: host, row: 4, at: 0 }, 9).length, 1);
  assert.equal(linksOf(lanes, { lane: host, row: 0, at: 0 }, 1).length, 1);
  const other = lanes.findIndex(({ label }) => label === "stream 8");
  assert.deepEqual(linksOf(lanes, { lane: other, row: 0, at: 0 }, 9), []);
});

test("an event is found in the graph by its phase, module and operator", () => {
  const timeline = new Timeline(TIMELINE);
  assert.equal(timeline.wordsOf(6), "decode › model.layers.0.mlp › aten::mm");
  assert.equal(timeline.wordsOf(2), "decode › forward (a.py:4)");
  assert.equal(timeline.wordsOf(0), "decode");
});

test("idle time is told by cause", () => {
  const timeline = new Timeline(TIMELINE);
  assert.deepEqual(idleOf(timeline.lanes(1), timeline.causes), [
    ["launch-bound Python", 40],
    ["synchronisation", 20],
  ]);
  assert.deepEqual(idleOf(timeline.lanes(0), timeline.causes), []);
});

test("what is narrower than half a pixel is drawn together, and nothing is lost", () => {
  const count = 10_000;
  const start = Float64Array.from({ length: count }, (_, at) => at * 10);
  const row = {
    start,
    end: start.map((at) => at + 9),
    what: new Int32Array(count),
    launched: null,
    bytes: null,
  };
  const strokes = strokesOf(row, 0, count * 10, 1000);
  assert.ok(strokes.length <= 1000);
  assert.equal(
    strokes.reduce((sum, stroke) => sum + stroke.count, 0),
    count,
  );
  const near = strokesOf(row, 500, 600, 1000);
  assert.deepEqual(
    near.map(({ at }) => at),
    [50, 51, 52, 53, 54, 55, 56, 57, 58, 59],
  );
  assert.equal(firstAfter(row, 509), 51);
  assert.equal(boxAt(row, 509.5), -1);
});

const OUTLIER = {
  repetition: 0,
  step: 3,
  wall_ns: 20e6,
  usual_ns: 10e6,
  parts_ns: { "run queue": 2e6, "on CPU": 7e6, disk: -3, "other waiting": 1e5 },
  counts: { major_faults: 2, rss_bytes: 4096, minor_faults: 1 },
};

test("an outlier tells what was more, the largest part first, and no noise", () => {
  const told = differencesOf(OUTLIER).map((words) => words.replaceAll("\u202f", " "));
  assert.deepEqual(told, ["7.00 ms on its own CPU", "2.00 ms waiting for a CPU", "2 page faults from disk"]);
  assert.equal(tookMemory(OUTLIER), false);
  assert.equal(tookMemory({ ...OUTLIER, counts: { device_bytes: 1 << 20 } }), true);
});

test("steps are decoded by their columns", () => {
  const column = (name: string, values: (number | null)[], unit = "ns"): RawTable["columns"][number] => ({
    name,
    unit,
    label: name,
    shown: true,
    values,
  });
  const steps = decodeSteps({
    table: {
      ...RAW,
      columns: [
        column("step", [1, 2]),
        column("wall_ns", [10, 12]),
        column("min_ns", [9, 11]),
        column("max_ns", [11, 13]),
        column("repetitions", [2, 2]),
        column("device_bytes", [null, null]),
        column("rss_bytes", [100, 300]),
        column("anatomy", [0, -1], "text"),
      ],
      count: 2,
    },
    of: 5,
    strings: ["traced"],
    spread: { count: 4, p50_ns: 11, p90_ns: 13, p99_ns: 13, limit_ns: null, edges_ns: [9, 13], counts: [4] },
    deviations: 3,
    outliers: [],
    outlier_count: 0,
    requests_shown: 8,
  });
  assert.deepEqual(steps.memory, [{ label: "resident on the host", values: [100, 300] }]);
  assert.deepEqual(steps.anatomy, ["traced", null]);
  assert.equal(steps.repetitions, 2);
  assert.equal(steps.notes.length, 1);
  assert.deepEqual(growthOf([null, 5, 4]), [null, 0, -1]);
  assert.equal(nearest([1, 8, 64], 30), 1);
});

test("ticks are round and within their ends", () => {
  assert.deepEqual(ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(ticks(3, 3, 4).length <= 1, true);
  for (const tick of ticks(17, 93, 4)) assert.ok(tick >= 17 && tick <= 93);
});

const CEILINGS: Ceiling[] = [
  { origin: "measured", dtype: null, rate: 4e12, own: true },
  { origin: "published", dtype: null, rate: 5e12, own: true },
  { origin: "published", dtype: "float32", rate: 60e12, own: false },
  { origin: "measured", dtype: "bfloat16", rate: 600e12, own: true },
];

test("what can be reached is the lower of bandwidth and compute, as measured", () => {
  assert.equal(reachable(CEILINGS, 1), 4e12);
  assert.equal(reachable(CEILINGS, 1000), 600e12);
  assert.equal(reachable(CEILINGS.slice(1, 2), 2), 10e12);
  assert.equal(reachable([], 2), null);
  assert.equal(
    ceilingsInWords(CEILINGS, String),
    "bfloat16 600000000000000 (measured), float32 60000000000000 (published)",
  );
});

test("axes are whole decades around the values", () => {
  assert.deepEqual(decades([0.3, 40]), { from: -1, to: 2 });
  assert.deepEqual(decades([]), { from: 0, to: 2 });
  assert.equal(along(10, { from: 0, to: 2 }), 0.5);
});

test("a roofline's names are made readable", () => {
  const raw = {
    device: "x\u202ey",
    dtype: null,
    ceilings: [],
    left_out: 2,
    points: [
      {
        by: "class",
        phase: "decode",
        name: "m\n",
        flops: 1,
        bytes: 1,
        time_ns: 1,
        intensity: 1,
        flop_per_s: 1,
        place: "",
      },
    ],
  };
  const found = decodeRoofline(raw);
  assert.equal(found.points[0].name, "m␊");
  assert.equal(found.device, "x\ufffdy");
  assert.equal(found.leftOut, 2);
});
