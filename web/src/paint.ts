/** The strokes of a flame graph: boxes, their text, and what is marked in them. */

import type { Boxes, FlameLabel, FlameSource } from "./layout";
import { Palette } from "./palette";
import { Ribbons } from "./ribbons";

export const ROW = 20;
const PAD = 5;
const FONT =
  '11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';
const MIN_TEXT = 18;
const HOVER_ALPHA = 0.13;
const LEAST_TEXT_ALPHA = 0.55;
/** Of what a search has not found. */
const OTHERS_ALPHA = 0.38;
const ABOVE_ALPHA = 0.5;
const SAME_ALPHA = 0.75;
/** Wider boxes are outlined where they are marked, narrower ones filled. */
const OUTLINED = 2;

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

/** Where rows stand: those from `first` to `last`, `depth` being that of a row. */
export interface Rows {
  readonly first: number;
  readonly last: number;
  topOf(depth: number): number;
}

/** What else there is to a box, by the box. */
const NO_MARK = 0;
const SAME = 1;
const SELECTED = 2;

/** Draws boxes; keeps what it needs for each frame anew. */
export class Painter {
  private readonly palette = new Palette();
  private readonly ribbons = new Ribbons();
  private writer: Writer | null = null;
  private colours = new Int32Array(0);
  private opacities = new Float64Array(0);
  private left = new Float64Array(0);
  private wide = new Float64Array(0);
  private marked = new Uint8Array(0);

  draw(
    context: CanvasRenderingContext2D,
    source: FlameSource,
    boxes: Boxes,
    rows: Rows,
    ink: Ink,
    marks: Marks,
    area: Area,
  ): void {
    this.measure(boxes, area);
    this.choose(source, boxes, ink, marks);
    this.fill(context, boxes, rows, ink, area);
    context.setTransform(area.ratio, 0, 0, area.ratio, 0, 0);
    this.hover(context, boxes, rows, ink, marks, area);
    this.write(context, source, boxes, rows, ink, marks, area);
    this.outline(context, boxes, rows, ink, area);
    context.globalAlpha = 1;
  }

  /** Boxes in device pixels: they begin on whole ones. */
  private measure({ length, x, width }: Boxes, { width: room, ratio }: Area): void {
    if (this.left.length < length) {
      this.colours = new Int32Array(length * 2);
      this.opacities = new Float64Array(length * 2);
      this.left = new Float64Array(length * 2);
      this.wide = new Float64Array(length * 2);
      this.marked = new Uint8Array(length * 2);
    }
    const last = Math.round(room * ratio);
    for (let at = 0; at < length; at++) {
      const left = Math.max(0, Math.round(x[at] * ratio));
      const right = Math.min(last, Math.round((x[at] + width[at]) * ratio));
      const gap = width[at] > 3 ? 1 : width[at] > 1.5 ? 0.5 : 0;
      this.left[at] = left;
      this.wide[at] = Math.max(right - left - gap * ratio, 0.5 * ratio);
    }
  }

  private choose(source: FlameSource, { length, node }: Boxes, ink: Ink, marks: Marks): void {
    const { palette, colours, opacities, marked } = this;
    const above = ancestors(source, marks.zoomed);
    const { hit, same, selected } = marks;
    for (let at = 0; at < length; at++) {
      const own = node[at];
      const found = isHit(marks, own);
      colours[at] = palette.index(own < 0 ? ink.hidden : found ? ink.hit : source.colour(own));
      opacities[at] = hit !== null ? (found ? 1 : OTHERS_ALPHA) : above.has(own) ? ABOVE_ALPHA : 1;
      marked[at] = NO_MARK;
      if (own < 0 || own === source.root) continue;
      if (own === selected) marked[at] = SELECTED;
      else if (same?.(own) === true) marked[at] = SAME;
    }
  }

  private fill(
    context: CanvasRenderingContext2D,
    { length, depth }: Boxes,
    rows: Rows,
    ink: Ink,
    { width, height, ratio }: Area,
  ): void {
    const { palette, ribbons, colours, opacities, left, wide, marked } = this;
    const paper = palette.index(ink.paper);
    const accent = palette.index(ink.accent);
    const pixels = palette.resolve();
    const count = rows.last - rows.first + 1;
    // The bitmap's rows go down the screen, which an upward graph's do not.
    const down = rows.topOf(rows.last) >= rows.topOf(rows.first);
    const rowOf = (at: number): number => (down ? depth[at] - rows.first : rows.last - depth[at]);
    ribbons.start(Math.round(width * ratio), count, pixels[paper]);
    for (let at = 0; at < length; at++)
      ribbons.add(rowOf(at), left[at], wide[at], pixels[colours[at]], opacities[at]);
    for (let at = 0; at < length; at++) {
      if (marked[at] === NO_MARK || wide[at] > OUTLINED * ratio) continue;
      const opacity = marked[at] === SELECTED ? 1 : SAME_ALPHA;
      ribbons.add(rowOf(at), left[at], Math.max(wide[at], ratio), pixels[accent], opacity);
    }
    const top = rows.topOf(down ? rows.first : rows.last);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = ink.paper;
    context.fillRect(0, 0, Math.ceil(width * ratio), Math.ceil(height * ratio));
    ribbons.draw(context, top * ratio, ROW * ratio);
    for (let row = 0; row < count; row++)
      context.fillRect(0, (top + (row + 1) * ROW - 1) * ratio, Math.ceil(width * ratio), ratio);
  }

  private hover(
    context: CanvasRenderingContext2D,
    { length, node, depth }: Boxes,
    rows: Rows,
    ink: Ink,
    { hovered }: Marks,
    { ratio }: Area,
  ): void {
    if (hovered < 0) return;
    const at = node.subarray(0, length).indexOf(hovered);
    if (at < 0) return;
    context.fillStyle = ink.text;
    context.globalAlpha = HOVER_ALPHA;
    context.fillRect(this.left[at] / ratio, rows.topOf(depth[at]), this.wide[at] / ratio, ROW - 1);
  }

  private write(
    context: CanvasRenderingContext2D,
    source: FlameSource,
    { length, node, depth }: Boxes,
    rows: Rows,
    ink: Ink,
    marks: Marks,
    { ratio }: Area,
  ): void {
    context.font = FONT;
    context.textBaseline = "middle";
    this.writer ??= new Writer(context);
    const { writer, left, wide, opacities } = this;
    writer.start();
    for (let at = 0; at < length; at++) {
      const room = wide[at] / ratio;
      if (room < MIN_TEXT || node[at] < 0) continue;
      const found = isHit(marks, node[at]);
      const [text, faint] = found ? [ink.hitText, ink.hitText] : [ink.text, ink.faint];
      writer.alpha(Math.max(LEAST_TEXT_ALPHA, opacities[at]));
      const middle = rows.topOf(depth[at]) + ROW / 2;
      writer.write(source.label(node[at]), left[at] / ratio + PAD, middle, room - 2 * PAD, text, faint);
    }
  }

  private outline(
    context: CanvasRenderingContext2D,
    { length, depth }: Boxes,
    rows: Rows,
    ink: Ink,
    { ratio }: Area,
  ): void {
    const { left, wide, marked } = this;
    context.strokeStyle = ink.accent;
    for (let at = 0; at < length; at++) {
      if (marked[at] === NO_MARK || wide[at] <= OUTLINED * ratio) continue;
      const selected = marked[at] === SELECTED;
      context.lineWidth = selected ? 2 : 1;
      context.globalAlpha = selected ? 1 : SAME_ALPHA;
      const inset = context.lineWidth / 2;
      const top = rows.topOf(depth[at]) + inset;
      context.strokeRect(left[at] / ratio + inset, top, wide[at] / ratio - 2 * inset, ROW - 1 - 2 * inset);
    }
  }
}

function isHit(marks: Marks, node: number): boolean {
  return marks.hit !== null && node >= 0 && marks.hit[node] === 1;
}

function ancestors(source: FlameSource, node: number): Set<number> {
  const above = new Set<number>();
  if (node <= 0) return above;
  for (let at = source.parent(node); at >= 0; at = source.parent(at)) above.add(at);
  return above;
}

/** Writes text that stays inside its box. */
class Writer {
  private readonly letter: number;
  private colour = "";
  private opacity = -1;

  constructor(private readonly context: CanvasRenderingContext2D) {
    this.letter = context.measureText("0123456789").width / 10;
  }

  /** Others may have drawn since. */
  start(): void {
    this.colour = "";
    this.opacity = -1;
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
