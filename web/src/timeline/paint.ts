/** The strokes of a timeline: an axis, lanes below each other, links between them. */

import { kindColour, partColour, phaseColour, type Scheme } from "../colour";
import { formatBytes, formatNs } from "../format";
import type { Ink } from "../paint";
import { ticks } from "../steps/model";
import { strokesOf, type Lane, type Link, type Row, type Spot, type Timeline } from "./model";

export const ROW = 18;
const AXIS = 20;
const TITLE = 17;
const GAP = 8;
const CURVE = 46;
const PAD = 4;
const MIN_TEXT = 22;
const FONT =
  '11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';
const SANS = '11px ui-sans-serif, system-ui, "Segoe UI", Roboto, Arial, sans-serif';
const TICK_EVERY = 130;
const USUAL_LETTER = 6.6;

/** Where a lane lies, from the top of the drawing. */
export interface Band {
  readonly top: number;
  /** Of its first row, below its title. */
  readonly rows: number;
  readonly bottom: number;
}

export function bandsOf(lanes: readonly Lane[]): Band[] {
  let top = AXIS;
  return lanes.map((lane) => {
    const rows = top + TITLE;
    const bottom = rows + (lane.kind === "memory" ? CURVE : lane.rows.length * ROW);
    const band = { top, rows, bottom };
    top = bottom + GAP;
    return band;
  });
}

export function heightOf(lanes: readonly Lane[]): number {
  return (bandsOf(lanes).at(-1)?.bottom ?? AXIS) + GAP;
}

/** What part of the roofline's account a cause of idle time is: they share their colours. */
const CAUSES: Record<string, string> = {
  "launch-bound Python": "launch gaps",
  synchronisation: "synchronisation",
  copy: "copies",
  allocation: "low occupancy",
  tokeniser: "other",
};

export function causeColour(cause: string, scheme: Scheme): string {
  return partColour(CAUSES[cause] ?? "", scheme);
}

export interface Picture {
  readonly timeline: Timeline;
  readonly lanes: readonly Lane[];
  /** The window's length. */
  readonly wall: number;
  readonly from: number;
  readonly to: number;
  readonly width: number;
  readonly height: number;
  readonly selected: Spot | null;
  readonly hovered: Spot | null;
  readonly links: readonly Link[];
  readonly scheme: Scheme;
  readonly ink: Ink;
}

export function paint(context: CanvasRenderingContext2D, picture: Picture): void {
  const { lanes, width, height, ink } = picture;
  context.fillStyle = ink.paper;
  context.fillRect(0, 0, width, height);
  context.textBaseline = "middle";
  const bands = bandsOf(lanes);
  axis(context, picture);
  context.font = FONT;
  const brush: Brush = { letter: context.measureText("m").width || USUAL_LETTER, colours: new Map() };
  lanes.forEach((lane, at) => {
    const band = bands[at];
    if (lane.curve !== null) curve(context, picture, lane, band);
    lane.rows.forEach((row, depth) => boxes(context, picture, brush, lane, row, band.rows + depth * ROW));
    title(context, picture, lane, band);
  });
  for (const [spot, loud] of [
    [picture.hovered, false],
    [picture.selected, true],
  ] as const)
    if (spot !== null) outline(context, picture, bands, spot, loud);
  links(context, picture, bands);
}

/** What each box needs and none should make anew. */
interface Brush {
  readonly letter: number;
  readonly colours: Map<string, string>;
}

function place({ from, to, width }: Picture, time: number): number {
  return ((time - from) / (to - from)) * width;
}

function axis(context: CanvasRenderingContext2D, picture: Picture): void {
  const { from, to, width, height, ink } = picture;
  context.font = SANS;
  context.textAlign = "left";
  for (const time of ticks(from, to, width / TICK_EVERY)) {
    const x = Math.round(place(picture, time)) + 0.5;
    context.globalAlpha = 0.16;
    context.fillStyle = ink.text;
    context.fillRect(x, 0, 0.75, height);
    context.globalAlpha = 1;
    context.fillStyle = ink.faint;
    if (x < width - 40) context.fillText(formatNs(time), x + PAD, AXIS / 2);
  }
}

function title(context: CanvasRenderingContext2D, { ink }: Picture, lane: Lane, band: Band): void {
  context.font = SANS;
  const words = lane.curve === null ? lane.label : `${lane.label}: ${range(lane.curve.bytes)}`;
  const wide = context.measureText(words).width;
  context.fillStyle = ink.paper;
  context.fillRect(0, band.top + 1, wide + 2 * PAD, TITLE - 2);
  context.fillStyle = ink.faint;
  context.fillText(words, PAD, band.top + TITLE / 2);
}

function range(values: Float64Array): string {
  const [low, high] = ends(values);
  return low === high ? formatBytes(low) : `${formatBytes(low)} to ${formatBytes(high)}`;
}

function ends(values: Float64Array): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}

/** Readings hold until the next one. */
function curve(context: CanvasRenderingContext2D, picture: Picture, lane: Lane, band: Band): void {
  if (lane.curve === null) return;
  const { times, bytes } = lane.curve;
  const most = ends(bytes)[1] || 1;
  const y = (value: number): number => band.bottom - 1 - (value / most) * (CURVE - 4);
  context.strokeStyle = picture.ink.accent;
  context.lineWidth = 1.5;
  context.beginPath();
  for (let at = 0; at < times.length; at++) {
    const x = place(picture, times[at]);
    if (at === 0) context.moveTo(x, y(bytes[at]));
    else {
      context.lineTo(x, y(bytes[at - 1]));
      context.lineTo(x, y(bytes[at]));
    }
  }
  context.lineTo(place(picture, picture.wall), y(bytes[bytes.length - 1]));
  context.stroke();
  context.globalAlpha = 0.3;
  context.fillStyle = picture.ink.text;
  context.fillRect(0, band.bottom, picture.width, 0.75);
  context.globalAlpha = 1;
}

function boxes(
  context: CanvasRenderingContext2D,
  picture: Picture,
  brush: Brush,
  lane: Lane,
  row: Row,
  top: number,
): void {
  const { from, to, width, ink, timeline } = picture;
  context.font = FONT;
  let last = "";
  for (const { x, width: wide, at } of strokesOf(row, from, to, width)) {
    const left = Math.max(0, x);
    const right = Math.min(width, x + wide);
    const gap = wide > 3 ? 1 : 0;
    const fill = at < 0 ? merged(lane, ink) : colour(picture, brush, lane, row.what[at]);
    if (fill !== last) context.fillStyle = last = fill;
    context.fillRect(left, top, Math.max(right - left - gap, 0.5), ROW - 2);
    if (at < 0 || right - left < MIN_TEXT) continue;
    const name = lane.kind === "idle" ? timeline.causes[row.what[at]] : timeline.frame(row.what[at]).name;
    context.fillStyle = last = ink.text;
    write(context, brush, name, left + PAD, top + ROW / 2 - 1, right - left - 2 * PAD);
  }
}

function merged({ kind }: Lane, ink: Ink): string {
  return kind === "stream" || kind === "idle" ? ink.faint : ink.hidden;
}

function colour({ timeline, scheme }: Picture, { colours }: Brush, { kind }: Lane, what: number): string {
  const frame = kind === "idle" ? null : timeline.frame(what);
  const cause = timeline.causes[what];
  const key =
    frame === null ? cause : frame.kind === "phase" ? `phase ${frame.name}` : `${kind} ${frame.kind}`;
  let found = colours.get(key);
  if (found === undefined) {
    if (frame === null) found = causeColour(cause, scheme);
    else if (frame.kind === "phase") found = phaseColour(frame.name, scheme);
    else found = kindColour(kind === "spans" ? "phase" : frame.kind, scheme);
    colours.set(key, found);
  }
  return found;
}

/** Fixed letters: as many as there is room for. */
function write(
  context: CanvasRenderingContext2D,
  { letter }: Brush,
  text: string,
  x: number,
  y: number,
  room: number,
): void {
  const count = Math.floor(room / letter);
  if (count < 2) return;
  context.fillText(text.length <= count ? text : `${text.slice(0, count - 1)}…`, x, y);
}

function outline(
  context: CanvasRenderingContext2D,
  picture: Picture,
  bands: readonly Band[],
  { lane, row, at }: Spot,
  loud: boolean,
): void {
  const boxes = picture.lanes[lane].rows[row];
  const left = Math.max(-2, place(picture, boxes.start[at]));
  const right = Math.min(picture.width + 2, place(picture, boxes.end[at]));
  context.strokeStyle = loud ? picture.ink.accent : picture.ink.text;
  context.lineWidth = loud ? 2 : 1;
  context.strokeRect(left, bands[lane].rows + row * ROW, Math.max(right - left, 2), ROW - 2);
}

/** From the host's lane, where the call was made, to the work. */
function links(context: CanvasRenderingContext2D, picture: Picture, bands: readonly Band[]): void {
  const host = picture.lanes.findIndex(({ kind }) => kind === "host");
  if (host < 0) return;
  context.strokeStyle = context.fillStyle = picture.ink.accent;
  context.lineWidth = 1.25;
  context.globalAlpha = picture.links.length > 30 ? 0.35 : 0.85;
  for (const { launched, start, lane } of picture.links) {
    const [x0, y0] = [place(picture, launched), bands[host].rows];
    const [x1, y1] = [place(picture, start), bands[lane].bottom - 2];
    const middle = (y0 + y1) / 2;
    context.beginPath();
    context.moveTo(x0, y0);
    context.bezierCurveTo(x0, middle, x1, middle, x1, y1);
    context.stroke();
    context.beginPath();
    context.arc(x0, y0, 2.5, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
}
