/** Steps from left to right: the median and what lies between the repetitions, marks, and a cursor. */

import { shape } from "../svg";
import { growthOf, ticks, type Steps } from "./model";

export interface Frame {
  readonly width: number;
  readonly height: number;
}

const LEFT = 64;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;

interface Scale {
  x(step: number): number;
  y(value: number): number;
  readonly left: number;
  readonly right: number;
}

export function stepAt(steps: Steps, x: number, { width }: Frame): number {
  const [first, last] = ends(steps);
  const share = (x - LEFT) / Math.max(1, width - LEFT - RIGHT);
  return first + Math.min(1, Math.max(0, share)) * (last - first);
}

export function drawTimes(
  steps: Steps,
  frame: Frame,
  cursor: number,
  format: (ns: number) => string,
): SVGElement {
  const most = Math.max(...steps.high, ...steps.outliers.map(({ wall_ns }) => wall_ns)) * 1.05;
  const { drawing, scale } = axes(steps, frame, { from: 0, to: most }, format, ticks(0, most, 4));
  const up = steps.index.map((step, at) => `${scale.x(step)} ${scale.y(steps.high[at])}`);
  const down = steps.index.map((step, at) => `${scale.x(step)} ${scale.y(steps.low[at])}`);
  if (steps.repetitions > 1)
    drawing.append(shape("path", { class: "band", d: `M${[...up, ...down.reverse()].join("L")}Z` }));
  drawing.append(line(steps.index, steps.median, scale, "median"));
  steps.anatomy.forEach((what, at) => {
    if (what === null) return;
    const x = scale.x(steps.index[at]);
    const traced = what.includes("traced");
    drawing.append(
      shape("path", {
        class: traced ? "traced" : "anchored",
        d: `M${x} ${frame.height - BOTTOM - 1}l-5 -8h10z`,
      }),
    );
  });
  for (const { step, wall_ns } of steps.outliers)
    drawing.append(
      shape("path", {
        class: "outlier",
        d: `M${scale.x(step) - 4} ${scale.y(wall_ns)}l4 -4l4 4l-4 4z`,
      }),
    );
  if (cursor >= 0) drawing.append(cursorAt(scale.x(steps.index[cursor]), frame));
  return drawing;
}

export function drawMemory(
  steps: Steps,
  frame: Frame,
  cursor: number,
  format: (bytes: number) => string,
): SVGElement {
  const lines = steps.memory.map(({ values }) => growthOf(values));
  const known = lines.flatMap((values) => values.filter((value) => value !== null));
  const [least, most] = [Math.min(0, ...known), Math.max(1, ...known)];
  const room = (most - least) * 0.06;
  const { drawing, scale } = axes(
    steps,
    frame,
    { from: least - (least < 0 ? room : 0), to: most + room },
    format,
    roundBytes(least, most),
  );
  lines.forEach((values, at) => drawing.append(line(steps.index, values, scale, `memory m${at}`)));
  if (cursor >= 0) drawing.append(cursorAt(scale.x(steps.index[cursor]), frame));
  return drawing;
}

export function drawHistogram(steps: Steps, frame: Frame, format: (ns: number) => string): SVGElement {
  const { edges_ns: edges, counts, p50_ns, p90_ns, p99_ns } = steps.spread;
  const drawing = plot(frame);
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const right = frame.width - RIGHT;
  const x = (ns: number): number => 8 + Math.min(1, (ns - low) / Math.max(1, high - low)) * (right - 8);
  const floor = frame.height - BOTTOM;
  const most = Math.max(1, ...counts);
  counts.forEach((count, at) => {
    if (count === 0) return;
    const height = (count / most) * (floor - TOP - 14);
    const [from, to] = [x(edges[at]), x(edges[at + 1])];
    const bar = shape("rect", {
      class: "bin",
      x: from,
      y: floor - height,
      width: Math.max(1, to - from - 1),
      height,
    });
    bar.append(shape("title", {}, `${format(edges[at])} to ${format(edges[at + 1])}: ${count} steps`));
    drawing.append(bar);
  });
  const marks: [string, number][] = [
    ["p50", p50_ns],
    ["p90", p90_ns],
    ["p99", p99_ns],
  ];
  let free = -Infinity;
  for (const [label, ns] of marks) {
    const at = x(ns);
    drawing.append(shape("path", { class: "percentile", d: `M${at} ${TOP + 12}V${floor}` }));
    const spot = Math.max(Math.min(at, right - 14), free + 28);
    free = spot;
    drawing.append(shape("text", { x: Math.min(spot, right), y: TOP + 6, "text-anchor": "middle" }, label));
  }
  drawing.append(shape("path", { class: "axis-line", d: `M8 ${floor}H${right}` }));
  const ends: [number, string, string][] = [
    [8, "start", format(low)],
    [right, "end", format(high)],
  ];
  for (const [at, anchor, words] of ends)
    drawing.append(shape("text", { x: at, y: frame.height - 7, "text-anchor": anchor }, words));
  return drawing;
}

/** Two or three lines at powers of two, which are round in binary units. */
function roundBytes(least: number, most: number): number[] {
  const step = 2 ** Math.ceil(Math.log2(Math.max(1, (most - least) / 2)));
  const lines = [];
  for (let at = Math.ceil(least / step); at * step <= most; at++) lines.push(at * step);
  return lines;
}

function plot({ width, height }: Frame): SVGElement {
  return shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
}

function ends({ index }: Steps): [number, number] {
  const [first, last] = [index[0], index[index.length - 1]];
  return first === last ? [first - 1, last + 1] : [first, last];
}

function axes(
  steps: Steps,
  frame: Frame,
  { from, to }: { from: number; to: number },
  format: (value: number) => string,
  lines: readonly number[],
): { drawing: SVGElement; scale: Scale } {
  const drawing = plot(frame);
  const [first, last] = ends(steps);
  const [left, right, floor] = [LEFT, frame.width - RIGHT, frame.height - BOTTOM];
  const scale: Scale = {
    x: (step) => round(left + ((step - first) / (last - first)) * (right - left)),
    y: (value) => round(floor - ((value - from) / (to - from)) * (floor - TOP)),
    left,
    right,
  };
  for (const value of lines) {
    const y = scale.y(value);
    drawing.append(shape("path", { class: "axis-line", d: `M${left} ${y}H${right}` }));
    drawing.append(shape("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, format(value)));
  }
  for (const step of ticks(first, last, Math.max(2, frame.width / 110))) {
    if (!Number.isInteger(step)) continue;
    drawing.append(
      shape("text", { x: scale.x(step), y: frame.height - 7, "text-anchor": "middle" }, String(step)),
    );
  }
  return { drawing, scale };
}

function line(
  index: readonly number[],
  values: readonly (number | null)[],
  scale: Scale,
  name: string,
): SVGElement {
  let path = "";
  let open = false;
  values.forEach((value, at) => {
    if (value !== null) path += `${open ? "L" : "M"}${scale.x(index[at])} ${scale.y(value)}`;
    open = value !== null;
  });
  return shape("path", { class: `line ${name}`, d: path });
}

function cursorAt(x: number, { height }: Frame): SVGElement {
  return shape("path", { class: "cursor-line", d: `M${x} ${TOP}V${height - BOTTOM}` });
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
