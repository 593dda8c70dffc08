/** The scatter below its ceilings: both axes logarithmic, a point's area is its time. */

import { el } from "../dom";
import { formatFlop } from "../format";
import { shape } from "../svg";
import { along, decades, isDrawn, type Ceiling, type Decades, type Point } from "./model";

const LEFT = 84;
const RIGHT = 22;
const TOP = 12;
const BOTTOM = 40;
const WORDS = 13;
const SMALLEST = 4;
const LARGEST = 20;
const LABELLED = 7;
const LETTER = 6.4;
const SIDES = 4;

export interface Drawn {
  readonly points: readonly Point[];
  readonly ceilings: readonly Ceiling[];
  readonly selected: Point | null;
  readonly width: number;
  readonly height: number;
}

export interface PointEvents {
  pick(point: Point): void;
  hover(point: Point | null, event: PointerEvent): void;
}

export function drawRoofline(drawn: Drawn, events: PointEvents): SVGElement {
  const { width, height, ceilings } = drawn;
  const points = drawn.points.filter(isDrawn).sort((a, b) => b.time_ns - a.time_ns);
  const compute = ceilings.filter(({ dtype }) => dtype !== null);
  const bandwidths = ceilings.filter(({ dtype }) => dtype === null);
  const ridges = bandwidths.flatMap(({ rate }) => compute.map((one) => one.rate / rate));
  const across = decades([...points.map(({ intensity }) => intensity ?? 0), ...ridges.map((at) => at * 2)]);
  const rates = points.map(({ flop_per_s }) => flop_per_s ?? 0);
  const lowest =
    bandwidths.length > 0 ? Math.min(...bandwidths.map(({ rate }) => rate)) * 10 ** across.from : NaN;
  const up = decades([...rates, ...compute.map(({ rate }) => rate), ...(rates.length > 0 ? [] : [lowest])]);
  const x = (value: number): number => LEFT + along(value, across) * (width - LEFT - RIGHT);
  const y = (value: number): number => height - BOTTOM - along(value, up) * (height - TOP - BOTTOM);
  const drawing = shape("svg", {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "group",
    "aria-label": "Roofline: operations a second over operations a byte",
  });
  drawing.append(...grid(across, up, x, y, drawn));
  drawing.append(...limits(bandwidths, compute, { across, up, x, y, width }));
  const most = Math.max(1, ...points.map(({ time_ns }) => time_ns));
  const radius = (point: Point): number =>
    Math.max(SMALLEST, Math.sqrt(point.time_ns / most) * (width < 520 ? LARGEST * 0.7 : LARGEST));
  const marks = points.map((point) =>
    mark(
      point,
      x(point.intensity ?? 1),
      y(point.flop_per_s ?? 1),
      radius(point),
      point === drawn.selected,
      events,
    ),
  );
  drawing.append(...marks, ...names(points, x, y, radius, width));
  return drawing;
}

type Place = (value: number) => number;

function grid(across: Decades, up: Decades, x: Place, y: Place, { width, height }: Drawn): SVGElement[] {
  const found: SVGElement[] = [];
  const floor = height - BOTTOM;
  const every = Math.max(1, Math.ceil((across.to - across.from) / Math.max(3, (width - LEFT) / 70)));
  for (let power = across.from; power <= across.to; power++) {
    const at = x(10 ** power);
    found.push(shape("path", { class: "axis-line", d: `M${at} ${TOP}V${floor}` }));
    if ((power - across.from) % every === 0)
      found.push(shape("text", { x: at, y: floor + 16, "text-anchor": "middle" }, decimal(power)));
  }
  for (let power = up.from; power <= up.to; power++) {
    const at = y(10 ** power);
    found.push(shape("path", { class: "axis-line", d: `M${LEFT} ${at}H${width - RIGHT}` }));
    found.push(shape("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, tick(power)));
  }
  const middle = (LEFT + width - RIGHT) / 2;
  found.push(
    shape("text", { x: middle, y: height - 6, "text-anchor": "middle" }, "FLOP per byte that must be moved"),
  );
  return found;
}

interface Axes {
  readonly across: Decades;
  readonly up: Decades;
  readonly x: Place;
  readonly y: Place;
  readonly width: number;
}

function limits(bandwidths: readonly Ceiling[], compute: readonly Ceiling[], axes: Axes): SVGElement[] {
  const { across, up, x, y, width } = axes;
  const found: SVGElement[] = [];
  const words: { text: string; y: number; ceiling: Ceiling }[] = [];
  const [left, right] = [10 ** across.from, 10 ** across.to];
  for (const ceiling of compute) {
    const bandwidth = bandwidths.find(({ origin }) => origin === ceiling.origin) ?? bandwidths[0];
    const from = bandwidth === undefined ? left : Math.max(left, ceiling.rate / bandwidth.rate);
    found.push(shape("path", { class: lineClass(ceiling), d: `M${x(from)} ${y(ceiling.rate)}H${x(right)}` }));
    words.push({
      text: `${ceiling.dtype} ${perSecond(ceiling.rate)}, ${ceiling.origin}`,
      y: y(ceiling.rate) + (ceiling.origin === "measured" ? WORDS : -5),
      ceiling,
    });
  }
  for (const ceiling of bandwidths) {
    const own = compute.filter(({ origin }) => origin === ceiling.origin).map(({ rate }) => rate);
    const top = Math.min(10 ** up.to, own.length > 0 ? Math.max(...own) : Infinity, ceiling.rate * right);
    const bottom = Math.max(10 ** up.from, ceiling.rate * left);
    found.push(
      shape("path", {
        class: lineClass(ceiling),
        d: `M${x(bottom / ceiling.rate)} ${y(bottom)}L${x(top / ceiling.rate)} ${y(top)}`,
      }),
    );
  }
  // The own dtype's words come first; of the others those that find room.
  const taken: number[] = [];
  for (const { text, ceiling, y: at } of words.sort(
    (a, b) => Number(b.ceiling.own) - Number(a.ceiling.own),
  )) {
    if (taken.some((other) => Math.abs(other - at) < WORDS)) continue;
    taken.push(at);
    const look = { class: ceiling.own ? "" : "faint", x: width - RIGHT, y: at, "text-anchor": "end" };
    found.push(shape("text", look, text));
  }
  return found;
}

function lineClass({ origin, own }: Ceiling): string {
  return `ceiling ${origin}${own ? "" : " other"}`;
}

function mark(
  point: Point,
  x: number,
  y: number,
  size: number,
  selected: boolean,
  events: PointEvents,
): SVGElement {
  const half = size * 0.89;
  const drawn =
    point.phase === "prefill"
      ? shape("rect", { x: x - half, y: y - half, width: 2 * half, height: 2 * half, rx: 1 })
      : shape("circle", { cx: x, cy: y, r: size });
  const holder = shape(
    "g",
    {
      class: `point ${point.by === "class" ? `c-${point.name}` : `p-${point.phase}`}`,
      tabindex: 0,
      role: "button",
      "aria-pressed": String(selected),
      "aria-label": `${point.name}, ${point.phase}`,
    },
    drawn,
  );
  holder.addEventListener("click", () => events.pick(point));
  holder.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    events.pick(point);
  });
  holder.addEventListener("pointermove", (event) => events.hover(point, event));
  holder.addEventListener("pointerleave", (event) => events.hover(null, event));
  return holder;
}

/** Names beside the points with the most time; one that would lie on another is left to the tooltip. */
function names(
  points: readonly Point[],
  x: Place,
  y: Place,
  radius: (point: Point) => number,
  width: number,
): SVGElement[] {
  const taken = points.map((point) => {
    const [at, size] = [x(point.intensity ?? 1), radius(point)];
    return { of: point, left: at - size, right: at + size, y: y(point.flop_per_s ?? 1) + SIDES };
  });
  const found: SVGElement[] = [];
  for (const point of points.slice(0, LABELLED)) {
    const text = point.name.length > 28 ? `…${point.name.slice(-27)}` : point.name;
    const long = text.length * LETTER;
    const [at, height] = [x(point.intensity ?? 1), y(point.flop_per_s ?? 1) + SIDES];
    const right = at + radius(point) + SIDES;
    const left = right + long < width ? right : at - radius(point) - SIDES - long;
    const free = !taken.some(
      (other) =>
        other.of !== point &&
        Math.abs(other.y - height) < WORDS &&
        other.left < left + long &&
        left < other.right,
    );
    if (!free || left < LEFT) continue;
    taken.push({ of: point, left, right: left + long, y: height });
    found.push(shape("text", { class: "name", x: left, y: height }, text));
  }
  return found;
}

export function perSecond(rate: number): string {
  return `${formatFlop(rate)}/s`;
}

/** A whole power of ten needs no digits behind the point. */
function tick(power: number): string {
  return perSecond(10 ** power).replace(/\.0+(?=\D)/, "");
}

function decimal(power: number): string {
  if (power >= 0 && power < 5) return (10 ** power).toLocaleString("en-US");
  return power < 0 && power >= -4 ? (10 ** power).toFixed(-power) : `1e${power}`;
}

export function keyOf(
  names: readonly string[],
  by: "class" | "module",
  phases: readonly string[],
): HTMLElement {
  const items =
    by === "class" ? names.map((name) => [`c-${name}`, name]) : phases.map((name) => [`p-${name}`, name]);
  return el(
    "p",
    { class: "keys" },
    ...items.map(([name, words]) => el("span", {}, el("i", { class: `key dot ${name}` }), words)),
    ...(by === "class"
      ? phases.map((phase) => el("span", {}, el("i", { class: `key form ${phase}` }), phase))
      : []),
    el("span", {}, "area: time"),
  );
}
