/** The strokes of a flame graph: boxes, their text, and what is marked in them. */

import type { Box, FlameLabel, FlameSource } from "./layout";

export const ROW = 20;
const PAD = 5;
const FONT =
  '11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';
const MIN_TEXT = 18;
const HOVER_ALPHA = 0.13;
const LEAST_TEXT_ALPHA = 0.55;

export interface Ink {
  readonly paper: string;
  readonly text: string;
  readonly faint: string;
  readonly hidden: string;
  readonly accent: string;
  readonly hit: string;
  readonly hitText: string;
}

/** The colours of canvases, as the style has them. */
export function inkOf(): Ink {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    paper: of("surface"),
    text: of("box-ink"),
    faint: of("box-faint"),
    hidden: of("box-hidden"),
    accent: of("select"),
    hit: of("hit"),
    hitText: of("hit-ink"),
  };
}

export interface Marks {
  readonly selected: number;
  readonly hovered: number;
  /** The node that fills the width: what is above it is drawn fainter. */
  readonly zoomed: number;
  /** 1 for each node that a search found; null where nothing is searched for. */
  readonly hit: Uint8Array | null;
  /** Other nodes of the selected frame. */
  readonly same: ((node: number) => boolean) | null;
}

interface Area {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

export function drawBoxes(
  context: CanvasRenderingContext2D,
  source: FlameSource,
  boxes: readonly Box[],
  topOf: (box: Box) => number,
  ink: Ink,
  marks: Marks,
  area: Area,
): void {
  context.fillStyle = ink.paper;
  context.fillRect(0, 0, area.width, area.height);
  context.font = FONT;
  context.textBaseline = "middle";
  const above = ancestors(source, marks.zoomed);
  const strokes = boxes.map((box) => strokeOf(box, topOf(box), source, ink, marks, above, area));
  fill(context, strokes);
  const hovered = strokes.find(({ node }) => node >= 0 && node === marks.hovered);
  if (hovered !== undefined) {
    context.fillStyle = ink.text;
    context.globalAlpha = HOVER_ALPHA;
    context.fillRect(hovered.left, hovered.top, hovered.width, ROW - 1);
  }
  const writer = new Writer(context);
  for (const { node, left, top, width, hit, alpha } of strokes) {
    if (node < 0 || width < MIN_TEXT) continue;
    const [text, faint] = hit ? [ink.hitText, ink.hitText] : [ink.text, ink.faint];
    writer.alpha(Math.max(LEAST_TEXT_ALPHA, alpha));
    writer.write(source.label(node), left + PAD, top + ROW / 2, width - 2 * PAD, text, faint);
  }
  context.globalAlpha = 1;
  for (const { node, left, top, width } of strokes)
    if (node >= 0 && node !== source.root) outline(context, node, left, top, width, ink, marks);
}

/** A box as it stands on the canvas. */
interface Stroke {
  readonly node: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly colour: string;
  readonly alpha: number;
  readonly hit: boolean;
}

function strokeOf(
  box: Box,
  top: number,
  source: FlameSource,
  ink: Ink,
  marks: Marks,
  above: Set<number>,
  area: Area,
): Stroke {
  const { node } = box;
  const left = Math.max(0, snap(box.x, area.ratio));
  const right = Math.min(area.width, snap(box.x + box.width, area.ratio));
  const gap = box.width > 3 ? 1 : box.width > 1.5 ? 0.5 : 0;
  const hit = marks.hit !== null && node >= 0 && marks.hit[node] === 1;
  const colour = node < 0 ? ink.hidden : hit ? ink.hit : source.colour(node);
  const width = Math.max(right - left - gap, 0.5);
  return { node, left, top, width, colour, alpha: alpha(box, hit, marks, above), hit };
}

/** One colour after the other: to change it costs more than to draw a box in it. */
function fill(context: CanvasRenderingContext2D, strokes: readonly Stroke[]): void {
  const groups = new Map<string, Map<number, Stroke[]>>();
  for (const stroke of strokes) {
    let byAlpha = groups.get(stroke.colour);
    if (byAlpha === undefined) groups.set(stroke.colour, (byAlpha = new Map<number, Stroke[]>()));
    const group = byAlpha.get(stroke.alpha);
    if (group === undefined) byAlpha.set(stroke.alpha, [stroke]);
    else group.push(stroke);
  }
  for (const [colour, byAlpha] of groups) {
    context.fillStyle = colour;
    for (const [alpha, group] of byAlpha) {
      context.globalAlpha = alpha;
      for (const { left, top, width } of group) context.fillRect(left, top, width, ROW - 1);
    }
  }
}

function alpha(box: Box, hit: boolean, marks: Marks, above: Set<number>): number {
  if (marks.hit !== null) return hit ? 1 : 0.38;
  return above.has(box.node) ? 0.5 : 1;
}

function ancestors(source: FlameSource, node: number): Set<number> {
  const above = new Set<number>();
  if (node <= 0) return above;
  for (let at = source.parent(node); at >= 0; at = source.parent(at)) above.add(at);
  return above;
}

function outline(
  context: CanvasRenderingContext2D,
  node: number,
  left: number,
  top: number,
  width: number,
  ink: Ink,
  marks: Marks,
): void {
  const selected = node === marks.selected;
  if (!selected && marks.same?.(node) !== true) return;
  context.strokeStyle = ink.accent;
  context.lineWidth = selected ? 2 : 1;
  context.globalAlpha = selected ? 1 : 0.75;
  const inset = context.lineWidth / 2;
  if (width > 2) context.strokeRect(left + inset, top + inset, width - 2 * inset, ROW - 1 - 2 * inset);
  else {
    context.fillStyle = ink.accent;
    context.fillRect(left, top, Math.max(width, 1), ROW - 1);
  }
  context.globalAlpha = 1;
}

function snap(x: number, ratio: number): number {
  return Math.round(x * ratio) / ratio;
}

/** Writes text that stays inside its box. */
class Writer {
  private readonly letter: number;
  private colour = "";
  private opacity = -1;

  constructor(private readonly context: CanvasRenderingContext2D) {
    this.letter = context.measureText("0123456789").width / 10;
  }

  write(label: FlameLabel, x: number, y: number, room: number, text: string, faint: string): void {
    let name = this.clip(label.name, room);
    if (name !== label.name && label.short.length < label.name.length) name = this.clip(label.short, room);
    if (name === "") return;
    this.ink(text);
    this.context.fillText(name, x, y);
    if (label.note === "" || name !== label.name) return;
    const used = this.width(name) + this.letter * 1.5;
    if (room - used < this.letter * 5) return;
    const note = this.clipLeft(label.note, room - used);
    this.ink(faint);
    this.context.fillText(note, x + used, y);
  }

  alpha(opacity: number): void {
    if (opacity !== this.opacity) this.context.globalAlpha = this.opacity = opacity;
  }

  private ink(colour: string): void {
    if (colour !== this.colour) this.context.fillStyle = this.colour = colour;
  }

  /** Keeps the end, which is what tells paths apart. */
  private clipLeft(text: string, room: number): string {
    if (this.width(text) <= room) return text;
    const letters = Math.floor(room / this.letter);
    return isPlain(text) ? `…${text.slice(text.length - letters + 1)}` : this.clip(text, room);
  }

  private width(text: string): number {
    return isPlain(text) ? text.length * this.letter : this.context.measureText(text).width;
  }

  private clip(text: string, room: number): string {
    const letters = Math.floor(room / this.letter);
    if (letters < 1) return "";
    if (isPlain(text.slice(0, letters + 1))) {
      if (text.length <= letters) return text;
      return letters < 3 ? text.slice(0, letters) : `${text.slice(0, letters - 1)}…`;
    }
    if (text.length <= letters * 2 && this.width(text) <= room) return text;
    let low = 0;
    let high = Math.min(text.length, letters * 2);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
      else high = middle - 1;
    }
    return low === 0 ? "" : `${text.slice(0, low)}…`;
  }
}

const PLAIN = /^[\x20-\x7e\xa1-\xff]*$/;

/** Letters that all take one cell of a monospaced font. */
function isPlain(text: string): boolean {
  return PLAIN.test(text);
}
