/** The flame graph on a canvas: draws a source, and says what the pointer does to it. */

import { el } from "./dom";
import { Boxes, layout, locate, within, type Box, type FlameSource, type Span } from "./layout";
import { Painter, ROW, type Ink, type Marks } from "./paint";

export interface FlameEvents {
  /** The pointer is over a node (-1: over none), or over a box that stands for `hidden` siblings. */
  hover(node: number, hidden: number, event: PointerEvent | null): void;
  pick(node: number): void;
}

const MIN_WIDTH = 0.5;
const GLIDE_MS = 190;
const WHOLE: Span = { from: 0, to: 1 };

interface Pose {
  view: Span;
  scroll: number;
}

/** What boxes were laid out for. */
interface Laid {
  readonly source: FlameSource;
  readonly from: number;
  readonly to: number;
  readonly inverted: boolean;
  readonly rows: number;
  readonly width: number;
  readonly height: number;
  readonly scroll: number;
}

export class FlameChart {
  readonly canvas: HTMLCanvasElement;
  readonly boxes = new Boxes();
  private readonly painter = new Painter();
  private firstRow = 0;
  private lastRow = 0;
  private laid: Laid | null = null;
  private readonly scroller: HTMLElement;
  private readonly spacer: HTMLElement;
  private source: FlameSource | null = null;
  private rows = 0;
  private inverted = false;
  private view: Span = WHOLE;
  private marks: Marks = { selected: -1, hovered: -1, zoomed: 0, hit: null, same: null };
  private ink: Ink | null = null;
  private glide: { from: Pose; to: Pose; start: number } | null = null;
  private pending = 0;
  private drag: { x: number; y: number; view: Span; scroll: number; moved: boolean } | null = null;

  constructor(
    host: HTMLElement,
    private readonly events: FlameEvents,
  ) {
    this.canvas = el("canvas", { class: "flame-canvas" });
    this.spacer = el("div", { class: "flame-spacer" });
    this.scroller = el(
      "div",
      {
        class: "flame-scroller",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "flame graph",
        "aria-label": "Flame graph. Arrow keys move between frames, Enter zooms, Escape shows the whole run.",
      },
      this.canvas,
      this.spacer,
    );
    host.append(this.scroller);
    host.style.setProperty("--row", `${ROW}px`);
    new ResizeObserver(() => this.redraw()).observe(this.scroller);
    this.listen();
  }

  get element(): HTMLElement {
    return this.scroller;
  }

  /** `rows` is the height of the whole tree: the graph takes no more room than that. */
  show(source: FlameSource, inverted: boolean, rows: number): void {
    this.scroller.style.setProperty("--rows", String(rows));
    this.source = source;
    this.inverted = inverted;
    this.redraw();
  }

  mark(marks: Partial<Marks>): void {
    this.marks = { ...this.marks, ...marks };
    this.redraw();
  }

  recolour(ink: Ink): void {
    this.ink = ink;
    this.redraw();
  }

  /** Fills the width with a node; `rows` is how many rows the node's subtree reaches down to. */
  fit(node: number, depth: number, rows: number, glide: boolean): void {
    if (this.source === null) return;
    const span = locate(this.source, node);
    const scrollBefore = this.rowTop(depth) - this.scroller.scrollTop;
    const height = this.scroller.clientHeight;
    this.setRows(rows);
    const top = Math.max(0, (depth - 2) * ROW);
    const scroll = this.inverted ? Math.max(0, rows * ROW - height - top) : top;
    if (!glide) {
      this.view = within(span);
      this.glide = null;
      this.scroller.scrollTop = scroll;
      return this.redraw();
    }
    if (this.inverted) this.scroller.scrollTop = this.rowTop(depth) - scrollBefore;
    this.glideTo({ view: within(span), scroll: this.clamp(scroll, height) });
  }

  private setRows(rows: number): void {
    if (rows === this.rows) return;
    this.rows = rows;
    this.spacer.style.height = `${rows * ROW}px`;
  }

  /** What a scroller of that height can be scrolled to. */
  private clamp(scroll: number, height: number): number {
    return Math.max(0, Math.min(scroll, this.rows * ROW - height));
  }

  /** Brings a node into sight, and makes it wide enough to be seen. */
  reveal(node: number, depth: number, wanted = 24): void {
    if (this.source === null) return;
    const span = locate(this.source, node);
    const { clientWidth: width, clientHeight: height } = this.scroller;
    this.setRows(Math.max(this.rows, depth + 1));
    // Where it is gliding to, it will be: halfway it would stay halfway.
    const pose = this.glide?.to ?? this.pose;
    const share = span.to - span.from;
    let { view, scroll } = pose;
    if ((share * width) / (view.to - view.from) < Math.min(wanted, 6)) {
      const room = Math.max(share, (share * width) / (wanted * 4));
      const middle = (span.from + span.to) / 2;
      view = within({ from: middle - room / 2, to: middle + room / 2 });
    } else if (span.to <= view.from || span.from >= view.to) {
      const half = (view.to - view.from) / 2;
      const middle = (span.from + span.to) / 2;
      view = within({ from: middle - half, to: middle + half });
    }
    const top = this.rowTop(depth);
    if (top < scroll + ROW) scroll = top - ROW;
    else if (top + 2 * ROW > scroll + height) scroll = top + 2 * ROW - height;
    this.glideTo({ view, scroll: this.clamp(scroll, height) });
  }

  boxAt(event: MouseEvent): Box | null {
    const area = this.canvas.getBoundingClientRect();
    const x = event.clientX - area.left;
    const y = event.clientY - area.top;
    const { boxes } = this;
    const { scrollTop } = this.scroller;
    for (let at = boxes.length - 1; at >= 0; at--) {
      const left = boxes.x[at];
      if (x < left || x >= left + Math.max(boxes.width[at], 1)) continue;
      const top = this.rowTop(boxes.depth[at]) - scrollTop;
      if (y >= top && y < top + ROW) return boxes.at(at);
    }
    return null;
  }

  /** Whether it neither moves nor waits to be drawn. */
  get isStill(): boolean {
    return this.glide === null && this.pending === 0;
  }

  redraw(): void {
    if (this.pending === 0) this.pending = requestAnimationFrame((now) => this.draw(now));
  }

  drawNow(): void {
    this.draw(performance.now());
  }

  private rowTop(depth: number): number {
    if (!this.inverted) return depth * ROW;
    return Math.max(this.rows * ROW, this.scroller.clientHeight) - (depth + 1) * ROW;
  }

  private get pose(): Pose {
    return { view: this.view, scroll: this.scroller.scrollTop };
  }

  private glideTo(to: Pose): void {
    if (this.glide !== null && isSame(this.glide.to, to)) return;
    const from = this.pose;
    this.glide = null;
    if (isSame(from, to)) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.glide = { from, to, start: still ? -Infinity : performance.now() };
    this.redraw();
  }

  private step(now: number): void {
    if (this.glide === null) return;
    const { from, to, start } = this.glide;
    const part = Math.min(1, Math.max(0, (now - start) / GLIDE_MS));
    const eased = 1 - (1 - part) ** 3;
    const mix = (a: number, b: number): number => (part === 1 ? b : a + (b - a) * eased);
    this.view = { from: mix(from.view.from, to.view.from), to: mix(from.view.to, to.view.to) };
    if (from.scroll !== to.scroll) this.scroller.scrollTop = mix(from.scroll, to.scroll);
    if (part === 1) this.glide = null;
    else this.redraw();
  }

  private draw(now: number): void {
    this.pending = 0;
    this.step(now);
    if (this.source === null || this.ink === null) return;
    const width = this.scroller.clientWidth;
    const height = this.scroller.clientHeight;
    if (width === 0 || height === 0) return;
    const ratio = window.devicePixelRatio || 1;
    if (
      this.canvas.width !== Math.round(width * ratio) ||
      this.canvas.height !== Math.round(height * ratio)
    ) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
      this.spacer.style.marginTop = `${-height}px`;
    }
    const scroll = this.scroller.scrollTop;
    this.layOut(width, height, scroll);
    const context = this.canvas.getContext("2d", { alpha: false });
    if (context === null) return;
    const { source, ink, marks, boxes, inverted, firstRow: first, lastRow: last } = this;
    const [begin, step] = [this.rowTop(0) - scroll, inverted ? -ROW : ROW];
    const topOf = (depth: number): number => begin + depth * step;
    this.painter.draw(context, source, boxes, { first, last, topOf }, ink, marks, { width, height, ratio });
  }

  /** Boxes of the rows in sight; kept while what they depend on stays, as where only marks change. */
  private layOut(width: number, height: number, scroll: number): void {
    const { source, view, inverted, rows } = this;
    if (source === null) return;
    const laid = this.laid;
    const now = { source, from: view.from, to: view.to, inverted, rows, width, height, scroll };
    if (laid !== null && Object.entries(now).every(([name, value]) => laid[name as keyof Laid] === value))
      return;
    this.laid = now;
    const above = inverted ? this.rowTop(-1) - scroll - height : scroll;
    this.firstRow = Math.max(0, Math.floor(above / ROW));
    this.lastRow = Math.max(this.firstRow, Math.ceil((above + height) / ROW) - 1);
    const { firstRow: minDepth, lastRow: maxDepth } = this;
    layout(source, { view, width, minDepth, maxDepth, minWidth: MIN_WIDTH }, this.boxes);
  }

  private listen(): void {
    const { scroller, canvas } = this;
    scroller.addEventListener("scroll", () => this.redraw(), { passive: true });
    scroller.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      this.drag = {
        x: event.clientX,
        y: event.clientY,
        view: this.view,
        scroll: scroller.scrollTop,
        moved: false,
      };
    });
    canvas.addEventListener("pointermove", (event) => this.pointerMove(event));
    canvas.addEventListener("pointerleave", () => {
      if (this.drag?.moved !== true) this.events.hover(-1, 0, null);
    });
    const release = (event: PointerEvent): void => {
      if (canvas.hasPointerCapture(event.pointerId)) canvas.releasePointerCapture(event.pointerId);
      canvas.classList.remove("dragging");
      setTimeout(() => (this.drag = null));
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("click", (event) => {
      if (this.drag?.moved === true) return;
      const box = this.boxAt(event);
      if (box !== null && box.node >= 0) this.events.pick(box.node);
    });
  }

  private pointerMove(event: PointerEvent): void {
    const drag = this.drag;
    if (drag !== null && event.buttons === 1) {
      const dx = event.clientX - drag.x;
      const dy = event.clientY - drag.y;
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      if (!drag.moved) {
        drag.moved = true;
        this.canvas.setPointerCapture(event.pointerId);
        this.canvas.classList.add("dragging");
        this.events.hover(-1, 0, null);
      }
      this.scroller.scrollTop = drag.scroll - dy;
      return this.pan(drag.view, (-dx / this.scroller.clientWidth) * (drag.view.to - drag.view.from));
    }
    if (event.pointerType === "touch") return;
    const box = this.boxAt(event);
    this.events.hover(box?.node ?? -1, box?.hidden ?? 0, box === null ? null : event);
  }

  private pan(view: Span, by: number): void {
    this.glide = null;
    this.view = within({ from: view.from + by, to: view.to + by });
    this.redraw();
  }

  private wheel(event: WheelEvent): void {
    const width = this.scroller.clientWidth;
    const span = this.view.to - this.view.from;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const pointer = (event.clientX - this.canvas.getBoundingClientRect().left) / width;
      const wider = span * Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.008);
      const middle = this.view.from + pointer * span;
      this.glide = null;
      this.view = within({ from: middle - pointer * wider, to: middle + (1 - pointer) * wider });
      return this.redraw();
    }
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (sideways !== 0 && Math.abs(sideways) >= Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      event.preventDefault();
      this.pan(this.view, (sideways / width) * span);
    }
  }
}

function isSame(one: Pose, other: Pose): boolean {
  return one.view.from === other.view.from && one.view.to === other.view.to && one.scroll === other.scroll;
}
