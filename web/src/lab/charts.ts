/** Speed-ups as bars with their intervals, speed against memory, and speed-ups over the batch size. */

import { digits, formatBytes, formatTimes } from "../format";
import { shape } from "../svg";
import { measured, ratioOf, type Line, type Row } from "./model";

const BAR = 18;
const PITCH = 30;
const LETTER = 7.2;
const MOST_LABEL = 340;
const VALUE = 128;
const TOP = 22;
const LEFT = 64;
const RIGHT = 16;
const BOTTOM = 38;
const TALL = 300;
const TINTS = 7;

export interface Picked {
  pick(row: Row): void;
}

/** One bar a row; a whisker is the interval, the upright line is the stock model. */
export function drawBars(rows: readonly Row[], width: number, best: string | null): SVGElement {
  const label = Math.min(
    MOST_LABEL,
    width * 0.42,
    12 + LETTER * Math.max(...rows.map((row) => row.label.length)),
  );
  const most = Math.max(1.2, ...rows.map((row) => row.speedup?.high ?? 1).map((high) => Math.min(high, 1e3)));
  const limit = Math.min(most, 1.25 * Math.max(1, ...rows.map((row) => ratioOf(row) ?? 1)));
  const room = Math.max(60, width - label - VALUE);
  const x = (ratio: number): number => label + (Math.min(ratio, limit) / limit) * room;
  const height = TOP + rows.length * PITCH + 6;
  const drawing = svg(width, height, "Speed-up over the stock model");
  drawing.append(shape("path", { class: "stock-line", d: `M${x(1)} ${TOP - 4}V${height}` }));
  drawing.append(shape("text", { x: x(1), y: TOP - 9, "text-anchor": "middle" }, "stock"));
  rows.forEach((row, at) => {
    const y = TOP + at * PITCH;
    const ratio = ratioOf(row) ?? 1;
    const group = shape("g", {
      class: `bar v-${row.verdict.replaceAll(" ", "-")}${row.label === best ? " best" : ""}`,
    });
    group.append(shape("title", {}, `${row.label}: ${words(row)}`));
    group.append(
      shape(
        "text",
        { class: "name", x: label - 8, y: y + 13, "text-anchor": "end" },
        fitted(row.label, label),
      ),
    );
    group.append(shape("rect", { x: label, y, width: Math.max(1, x(ratio) - label), height: BAR, rx: 2 }));
    if (row.speedup !== null) {
      const [low, high, middle] = [x(row.speedup.low), x(row.speedup.high), y + BAR / 2];
      group.append(
        shape("path", {
          class: "whisker",
          d: `M${low} ${middle - 4}v8M${low} ${middle}H${high}M${high} ${middle - 4}v8`,
        }),
      );
    }
    const end = Math.max(x(ratio), x(row.speedup?.high ?? ratio));
    group.append(shape("text", { x: end + 8, y: y + 13 }, words(row)));
    drawing.append(group);
  });
  return drawing;
}

/** Up is faster, left needs less. */
export function drawScatter(rows: readonly Row[], width: number): SVGElement {
  const known = measured(rows).filter(({ figures }) => figures?.peak_bytes != null);
  const drawing = svg(width, TALL, "Tokens a second against peak memory");
  const memory = known.map(({ figures }) => figures?.peak_bytes ?? 0);
  const speed = known.map(({ figures }) => figures?.tokens_per_s ?? 0);
  const x = scale(0, Math.max(...memory) * 1.1, LEFT, width - RIGHT);
  const y = scale(0, Math.max(...speed) * 1.12, TALL - BOTTOM, 14);
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const [bytes, rate] = [part * Math.max(...memory), part * Math.max(...speed)];
    drawing.append(shape("path", { class: "axis-line", d: `M${LEFT} ${y(rate)}H${width - RIGHT}` }));
    drawing.append(shape("text", { x: LEFT - 6, y: y(rate) + 4, "text-anchor": "end" }, digits(rate)));
    drawing.append(
      shape(
        "text",
        { x: x(bytes), y: TALL - BOTTOM + 16, "text-anchor": "middle" },
        part === 0 ? "0" : formatBytes(bytes),
      ),
    );
  }
  drawing.append(
    shape("text", { x: (LEFT + width) / 2, y: TALL - 4, "text-anchor": "middle" }, "peak memory"),
  );
  const taken: { x: number; y: number }[] = [];
  known.forEach((row, at) => {
    const [cx, cy] = [x(memory[at]), y(speed[at])];
    const point = shape("g", { class: `spot v-${row.verdict.replaceAll(" ", "-")}` });
    point.append(
      shape("title", {}, `${row.label}: ${digits(speed[at])} tokens/s, ${formatBytes(memory[at])}`),
    );
    point.append(shape("circle", { cx, cy, r: 6 }));
    const crowded = taken.some((other) => Math.abs(other.y - cy) < 13 && Math.abs(other.x - cx) < 160);
    if (!crowded) {
      const right = cx + 10 + LETTER * row.label.length < width;
      point.append(
        shape(
          "text",
          { class: "name", x: cx + (right ? 10 : -10), y: cy + 4, "text-anchor": right ? "start" : "end" },
          fitted(row.label, MOST_LABEL),
        ),
      );
      taken.push({ x: cx, y: cy });
    }
    drawing.append(point);
  });
  return drawing;
}

/** The batch size is on a logarithmic axis; below 1 a row is slower than the stock model at that batch size. */
export function drawCrossover(rows: readonly Line[], batches: readonly number[], width: number): SVGElement {
  const drawing = svg(width, TALL, "Speed-up by batch size");
  const most = Math.max(1.2, ...rows.flatMap(({ points }) => points.map(({ ratio }) => ratio))) * 1.08;
  const logs = batches.map((batch) => Math.log2(batch));
  const x = scale(Math.min(...logs), Math.max(...logs), LEFT, width - RIGHT - 150);
  const y = scale(0, most, TALL - BOTTOM, 14);
  const step = most > 8 ? 2 : most > 3 ? 1 : 0.5;
  for (let ratio = 0; ratio <= most; ratio += step) {
    drawing.append(shape("path", { class: "axis-line", d: `M${LEFT} ${y(ratio)}H${width - RIGHT - 150}` }));
    drawing.append(shape("text", { x: LEFT - 6, y: y(ratio) + 4, "text-anchor": "end" }, formatTimes(ratio)));
  }
  drawing.append(shape("path", { class: "stock-line", d: `M${LEFT} ${y(1)}H${width - RIGHT - 150}` }));
  for (const batch of batches)
    drawing.append(
      shape(
        "text",
        { x: x(Math.log2(batch)), y: TALL - BOTTOM + 16, "text-anchor": "middle" },
        String(batch),
      ),
    );
  drawing.append(
    shape("text", { x: (LEFT + width - 150) / 2, y: TALL - 4, "text-anchor": "middle" }, "batch size"),
  );
  const ends: number[] = [];
  rows.forEach(({ name, points }, at) => {
    const d = points.map(({ batch, ratio }) => `${x(Math.log2(batch))} ${y(ratio)}`).join("L");
    const line = shape("g", { class: `line t${at % TINTS}` });
    line.append(shape("title", {}, name), shape("path", { d: `M${d}` }));
    const last = points[points.length - 1];
    let beside = y(last.ratio) + 4;
    while (ends.some((other) => Math.abs(other - beside) < 13)) beside -= 13;
    ends.push(beside);
    line.append(
      shape("text", { class: "name", x: x(Math.log2(last.batch)) + 8, y: beside }, fitted(name, 158)),
    );
    for (const { batch, ratio } of points)
      line.append(shape("circle", { cx: x(Math.log2(batch)), cy: y(ratio), r: 3.5 }));
    drawing.append(line);
  });
  return drawing;
}

function words(row: Row): string {
  if (row.verdict === "stock") return "1×";
  const ratio = ratioOf(row);
  return ratio === null
    ? row.verdict
    : `${formatTimes(ratio)} ${row.verdict === "no difference" ? "no difference" : ""}`.trim();
}

function fitted(text: string, room: number): string {
  const most = Math.max(4, Math.floor((room - 12) / LETTER));
  return text.length > most ? `…${text.slice(text.length - most + 1)}` : text;
}

function svg(width: number, height: number, label: string): SVGElement {
  return shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
}

function scale(from: number, to: number, start: number, end: number): (value: number) => number {
  const span = to - from || 1;
  return (value) => start + ((value - from) / span) * (end - start);
}
