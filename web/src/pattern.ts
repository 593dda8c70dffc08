/** Frames that are meant: by a pattern that somebody typed, or one frame by what it is. */

import { matcher } from "./search";
import { hash } from "./state";
import type { Frame } from "./tree";

const EXACT = "=";

type Test = (frame: Frame) => boolean;

/** A frame whichever module it serves, as a text that survives a new recording. */
export function identity(frame: Frame): string {
  const told = `${frame.kind}\n${frame.full ?? frame.name}\n${frame.file ?? ""}\n${frame.line ?? ""}`;
  return EXACT + hash(told).toString(36) + hash(`${told}\n`).toString(36);
}

/**
 * A test of frames, one meaning a line: `=…` is a frame's identity, `/…/` a regular expression, all else a part of
 * a name, a module path or a file. Null where nothing is meant, a complaint where a pattern is wrong.
 */
export function meant(text: string): Test | null | string {
  const tests = linesOf(text).map(meantByOne);
  const complaint = tests.find((test) => typeof test === "string");
  if (complaint !== undefined) return complaint as string;
  const good = tests.filter((test): test is Test => typeof test === "function");
  return good.length === 0 ? null : (frame) => good.some((test) => test(frame));
}

export function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

function meantByOne(text: string): Test | null | string {
  if (/^=[0-9a-z]{2,}$/.test(text)) return (frame) => identity(frame) === text;
  const regex = /^\/(.+)\/$/.exec(text);
  return regex === null ? matcher({ text, regex: false }) : matcher({ text: regex[1], regex: true });
}

/** What a person reads: the name of the frame that is meant, or the pattern. */
export function meaning(frames: readonly Frame[], line: string): string {
  if (!line.startsWith(EXACT)) return line;
  return frames.find((frame) => identity(frame) === line)?.name ?? line;
}
