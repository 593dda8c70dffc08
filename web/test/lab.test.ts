import assert from "node:assert/strict";
import { test } from "node:test";

import { asTable, crossings, decodeLab, lines, measured } from "../src/lab/model";

const figures = {
  tokens_per_s: 100,
  ttft_ns: 1e6,
  tpot_ns: 1e6,
  compile_ns: null,
  mbu: 0.5,
  mfu: null,
  peak_bytes: 1e6,
  joule_per_token: null,
};

function row(name: string, batch: number, verdict: string, ratio: number | null): Record<string, unknown> {
  const speedup = ratio === null ? null : { ratio, low: ratio * 0.9, high: ratio * 1.1 };
  return {
    row: name,
    batch,
    label: `${name}@${batch}`,
    verdict,
    reason: ratio === null && verdict !== "stock" ? "it is wrong" : null,
    class: "equivalent",
    agreement: { verdict: verdict === "disagrees" ? "disagrees" : "agrees", words: "the same" },
    speedup,
    step_speedup: null,
    figures: ratio === null && verdict !== "stock" ? null : figures,
    memory: null,
    notes: [],
    has_profile: false,
  };
}

const raw = {
  rows: [
    row("stock", 1, "stock", null),
    row("a\u202e", 1, "faster", 2),
    row("wrong", 1, "disagrees", null),
    row("same", 1, "no difference", 1.01),
    row("stock", 8, "stock", null),
    row("a\u202e", 8, "slower", 0.5),
    row("same", 8, "no difference", 0.99),
  ],
  ladder: [
    { row: "stock", batch: 1 },
    { row: "a\u202e", batch: 1 },
  ],
  batches: [1, 8],
  best: "a\u202e@1",
  confidence: 0.99,
  subject: { rounds: 5 },
};

test("rows that disagree are in the table without a number, and in no chart", () => {
  const lab = decodeLab(raw);
  assert.equal(
    measured(lab.rows).some(({ row: name }) => name === "wrong"),
    false,
  );
  const table = asTable(lab.rows);
  const speeds = table.columns.find(({ name }) => name === "speedup");
  assert.deepEqual(speeds?.values, [null, 2, null, 1.01, null, 0.5, 0.99]);
  assert.equal(table.columns.find(({ name }) => name === "output")?.values[2], "differs");
});

test("marks that reorder text are made visible, and names still found", () => {
  const lab = decodeLab(raw);
  assert.deepEqual(
    lab.ladder.map(({ row: name }) => name),
    ["stock", "a\ufffd"],
  );
  assert.equal(
    lab.rows.some(({ label }) => label === lab.best),
    true,
  );
});

test("a row that stops paying is said to, one that never differs is no line", () => {
  const found = lines(decodeLab(raw).rows);
  assert.equal(found.length, 1);
  assert.deepEqual(crossings(found[0]), ["a\ufffd stops paying between batch 1 and 8"]);
});
