import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Later } from "../src/later";

/** Frames that pass when the test says so. */
let frames: (() => void)[] = [];

class Channel {
  readonly port1: { onmessage: (() => void) | null } = { onmessage: null };
  readonly port2 = { postMessage: () => this.port1.onmessage?.() };
}

function pass(count = 1): void {
  for (let at = 0; at < count; at++) frames.splice(0).forEach((act) => act());
}

beforeEach(() => {
  frames = [];
  Object.assign(globalThis, {
    MessageChannel: Channel,
    requestAnimationFrame: (act: () => void) => frames.push(act),
  });
});

test("one piece a frame, in the order in which they were asked for", () => {
  const done: string[] = [];
  const later = new Later(() => true);
  for (const name of ["a", "b", "c"]) later.do(name, () => done.push(name));
  assert.deepEqual(done, []);
  pass();
  assert.deepEqual(done, ["a"]);
  pass(2);
  assert.deepEqual(done, ["a", "b", "c"]);
  pass();
  assert.equal(frames.length, 0);
});

test("what is asked for again is done once, as it was asked for last", () => {
  const done: number[] = [];
  const later = new Later(() => true);
  later.do("a", () => done.push(1));
  later.do("a", () => done.push(2));
  pass(3);
  assert.deepEqual(done, [2]);
});

test("what isn't urgent waits until nothing moves, and lets others pass", () => {
  const done: string[] = [];
  let isStill = false;
  const later = new Later(() => isStill);
  later.doWhenStill("table", () => done.push("table"));
  later.do("details", () => done.push("details"));
  later.whenDone(() => done.push("done"));
  pass(5);
  assert.deepEqual(done, ["details"]);
  isStill = true;
  pass(5);
  assert.deepEqual(done, ["details", "table", "done"]);
});

test("a piece may leave others behind, which are waited for too", () => {
  const done: string[] = [];
  const later = new Later(() => true);
  later.do("table", () => {
    later.do("row 1", () => done.push("row 1"));
    later.do("row 2", () => done.push("row 2"));
  });
  later.whenDone(() => done.push("done"));
  pass(6);
  assert.deepEqual(done, ["row 1", "row 2", "done"]);
});

test("on paper all of it is there at once", () => {
  const done: string[] = [];
  const later = new Later(() => false);
  later.doWhenStill("table", () => later.doWhenStill("row", () => done.push("row")));
  later.finish();
  assert.deepEqual(done, ["row"]);
});
