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
  const strokes = new Strokes(boxes, topOf, area);
  fill(context, strokes, source, ink, marks, above);
  const { node, left, top, width } = strokes;
  const hovered = node.indexOf(marks.hovered);
  if (hovered >= 0 && marks.hovered >= 0) {
    context.fillStyle = ink.text;
    context.globalAlpha = HOVER_ALPHA;
    context.fillRect(left[hovered], top[hovered], width[hovered], ROW - 1);
  }
  const writer = new Writer(context);
  for (let at = 0; at < node.length; at++) {
    if (width[at] < MIN_TEXT || node[at] < 0) continue;
    const hit = isHit(marks, node[at]);
    const [text, faint] = hit ? [ink.hitText, ink.hitText] : [ink.text, ink.faint];
    writer.alpha(Math.max(LEAST_TEXT_ALPHA, alpha(node[at], hit, marks, above)));
    writer.write(source.label(node[at]), left[at] + PAD, top[at] + ROW / 2, width[at] - 2 * PAD, text, faint);
  }
  context.globalAlpha = 1;
  for (let at = 0; at < node.length; at++)
    if (node[at] >= 0 && node[at] !== source.root)
      outline(context, node[at], left[at], top[at], width[at], ink, marks);
}

/** Boxes as they stand on the canvas, by column: an object for each of thousands would be garbage each frame. */
class Strokes {
  readonly node: Int32Array;
  readonly left: Float64Array;
  readonly top: Float64Array;
  readonly width: Float64Array;

  constructor(boxes: readonly Box[], topOf: (box: Box) => number, area: Area) {
    this.node = new Int32Array(boxes.length);
    this.left = new Float64Array(boxes.length);
    this.top = new Float64Array(boxes.length);
    this.width = new Float64Array(boxes.length);
    boxes.forEach((box, at) => {
      const left = Math.max(0, snap(box.x, area.ratio));
      const right = Math.min(area.width, snap(box.x + box.width, area.ratio));
      const gap = box.width > 3 ? 1 : box.width > 1.5 ? 0.5 : 0;
      this.node[at] = box.node;
      this.left[at] = left;
      this.top[at] = topOf(box);
      this.width[at] = Math.max(right - left - gap, 0.5);
    });
  }
}

function isHit(marks: Marks, node: number): boolean {
  return marks.hit !== null && node >= 0 && marks.hit[node] === 1;
}

/** One colour after the other: to change it costs more than to draw a box in it. */
function fill(
  context: CanvasRenderingContext2D,
  strokes: Strokes,
  source: FlameSource,
  ink: Ink,
  marks: Marks,
  above: Set<number>,
): void {
  const { node, left, top, width } = strokes;
  const groups = new Map<number, Map<string, number[]>>();
  for (let at = 0; at < node.length; at++) {
    const hit = isHit(marks, node[at]);
    const colour = node[at] < 0 ? ink.hidden : hit ? ink.hit : source.colour(node[at]);
    const opacity = alpha(node[at], hit, marks, above);
    let byColour = groups.get(opacity);
    if (byColour === undefined) groups.set(opacity, (byColour = new Map<string, number[]>()));
    const group = byColour.get(colour);
    if (group === undefined) byColour.set(colour, [at]);
    else group.push(at);
  }
  for (const [opacity, byColour] of groups) {
    context.globalAlpha = opacity;
    for (const [colour, group] of byColour) {
      context.fillStyle = colour;
      for (const at of group) context.fillRect(left[at], top[at], width[at], ROW - 1);
    }
  }
}

function alpha(node: number, hit: boolean, marks: Marks, above: Set<number>): number {
  if (marks.hit !== null) return hit ? 1 : 0.38;
  return above.has(node) ? 0.5 : 1;
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
