/** A window's time on a canvas: what is in sight, and what pointer and keys do to it. */

import type { Scheme } from "../colour";
import { el } from "../dom";
import { inkOf, type Ink } from "../paint";
import { boxAt, firstAfter, linksOf, type Lane, type Spot, type Timeline } from "./model";
import { bandsOf, heightOf, paint, ROW } from "./paint";

/** What fills the width, in nanoseconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface CanvasEvents {
  hover(spot: Spot | null, event: PointerEvent | null): void;
  select(spot: Spot | null): void;
  moved(view: Span): void;
  open(): void;
}

const MOST_LINKS = 200;
const SHORTEST = 50;
const ZOOM = 1.6;
const WHEEL = 0.008;
const FASTEST_WHEEL = 60;
const DRAG_FROM = 4;
const PAN = 0.2;

export class TimelineCanvas {
  readonly element: HTMLElement;
  private readonly canvas = el("canvas", { "aria-hidden": "true" });
  private lanes: readonly Lane[] = [];
  private wall = 1;
  private view: Span = { from: 0, to: 1 };
  private selected: Spot | null = null;
  private hovered: Spot | null = null;
  private ink: Ink | null = null;
  private scheme: Scheme = "light";
  private pending = false;
  private drag: { x: number; view: Span; moved: boolean } | null = null;

  constructor(
    private readonly timeline: Timeline,
    private readonly events: CanvasEvents,
  ) {
    this.element = el(
      "div",
      {
        class: "lanes",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "timeline",
        "aria-label":
          "Timeline. Arrow keys move between events, plus and minus zoom, Shift with arrows moves, " +
          "Enter zooms to an event, G shows it in the graph, Escape shows the whole window.",
      },
      this.canvas,
    );
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  get span(): Span {
    return this.view;
  }

  show(lanes: readonly Lane[], wall: number, view: Span, selected: Spot | null): void {
    this.lanes = lanes;
    this.wall = wall;
    this.view = this.within(view);
    this.selected = selected;
    this.hovered = null;
    this.redraw();
  }

  recolour(scheme: Scheme): void {
    this.scheme = scheme;
    this.ink = inkOf();
    this.draw();
  }

  zoom(factor: number, around = (this.view.from + this.view.to) / 2): void {
    const share = (around - this.view.from) / (this.view.to - this.view.from);
    const length = (this.view.to - this.view.from) / factor;
    this.look({ from: around - share * length, to: around + (1 - share) * length });
  }

  whole(): void {
    this.look({ from: 0, to: this.wall });
  }

  /** Fills a good part of the width with a box. */
  zoomTo({ lane, row, at }: Spot): void {
    const boxes = this.lanes[lane].rows[row];
    const room = Math.max((boxes.end[at] - boxes.start[at]) * 0.15, SHORTEST / 2);
    this.look({ from: boxes.start[at] - room, to: boxes.end[at] + room });
  }

  /** Brings a box into sight as it is. */
  reveal({ lane, row, at }: Spot): void {
    const boxes = this.lanes[lane].rows[row];
    const { from, to } = this.view;
    if (boxes.end[at] < from || boxes.start[at] > to) {
      const middle = (boxes.start[at] + boxes.end[at]) / 2;
      this.look({ from: middle - (to - from) / 2, to: middle + (to - from) / 2 });
    }
    const top = bandsOf(this.lanes)[lane].rows + row * ROW;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top - 2 * ROW;
    else if (top + ROW > scrollTop + clientHeight) this.element.scrollTop = top + 3 * ROW - clientHeight;
  }

  mark(selected: Spot | null): void {
    this.selected = selected;
    this.redraw();
  }

  private look(view: Span): void {
    this.view = this.within(view);
    this.redraw();
    this.events.moved(this.view);
  }

  private within({ from, to }: Span): Span {
    const length = Math.min(this.wall, Math.max(to - from, Math.min(SHORTEST, this.wall)));
    const start = Math.min(Math.max(from, 0), this.wall - length);
    return { from: start, to: start + length };
  }

  private redraw(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.pending = false;
    const { canvas, ink, element } = this;
    const width = element.clientWidth;
    if (ink === null || width === 0) return;
    const height = heightOf(this.lanes);
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    if (context === null) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const spot = this.hovered ?? this.selected;
    paint(context, {
      timeline: this.timeline,
      lanes: this.lanes,
      wall: this.wall,
      ...this.view,
      width,
      height,
      selected: this.selected,
      hovered: this.hovered,
      links: spot === null ? [] : linksOf(this.lanes, spot, MOST_LINKS),
      scheme: this.scheme,
      ink,
    });
  }

  private timeAt(event: MouseEvent): number {
    const { left, width } = this.canvas.getBoundingClientRect();
    const { from, to } = this.view;
    return from + ((event.clientX - left) / Math.max(1, width)) * (to - from);
  }

  private spotAt(event: MouseEvent): Spot | null {
    const y = event.clientY - this.canvas.getBoundingClientRect().top;
    const bands = bandsOf(this.lanes);
    const lane = bands.findIndex(({ rows, bottom }) => y >= rows && y < bottom);
    if (lane < 0) return null;
    const row = Math.floor((y - bands[lane].rows) / ROW);
    const boxes = this.lanes[lane].rows[row];
    if (boxes === undefined) return null;
    const time = this.timeAt(event);
    const at = boxAt(boxes, time);
    if (at >= 0) return { lane, row, at };
    // A pixel to either side: what is drawn half a pixel wide could hardly be met else.
    const near = (this.view.to - this.view.from) / Math.max(1, this.canvas.clientWidth);
    const next = firstAfter(boxes, time - near);
    return next < boxes.start.length && boxes.start[next] <= time + near ? { lane, row, at: next } : null;
  }

  private listen(): void {
    const { canvas, element } = this;
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button === 0) this.drag = { x: event.clientX, view: this.view, moved: false };
    });
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerleave", () => this.hover(null, null));
    const release = (): void => {
      canvas.classList.remove("dragging");
      setTimeout(() => (this.drag = null));
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("click", (event) => {
      if (this.drag?.moved === true) return;
      this.events.select(this.spotAt(event));
    });
    canvas.addEventListener("dblclick", (event) => {
      const spot = this.spotAt(event);
      if (spot !== null) this.zoomTo(spot);
    });
  }

  private hover(spot: Spot | null, event: PointerEvent | null): void {
    const same =
      spot?.lane === this.hovered?.lane && spot?.row === this.hovered?.row && spot?.at === this.hovered?.at;
    this.hovered = spot;
    if (!same) this.redraw();
    this.events.hover(spot, event);
  }

  private move(event: PointerEvent): void {
    const { drag } = this;
    if (drag !== null && event.buttons === 1) {
      const by = event.clientX - drag.x;
      if (!drag.moved && Math.abs(by) < DRAG_FROM) return;
      if (!drag.moved) {
        drag.moved = true;
        this.canvas.setPointerCapture(event.pointerId);
        this.canvas.classList.add("dragging");
        this.hover(null, null);
      }
      const length = drag.view.to - drag.view.from;
      const shift = (-by / Math.max(1, this.element.clientWidth)) * length;
      return this.look({ from: drag.view.from + shift, to: drag.view.to + shift });
    }
    if (event.pointerType !== "touch") this.hover(this.spotAt(event), event);
  }

  /** A page must scroll where the pointer happens to be: only Ctrl or ⌘ stretches, as in the graph. */
  private wheel(event: WheelEvent): void {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const by = Math.max(-FASTEST_WHEEL, Math.min(FASTEST_WHEEL, event.deltaY));
      return this.zoom(Math.exp(-by * WHEEL), this.timeAt(event));
    }
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (sideways !== 0 && (event.shiftKey || Math.abs(sideways) >= Math.abs(event.deltaY))) {
      event.preventDefault();
      this.pan(sideways / Math.max(1, this.element.clientWidth));
    }
  }

  private pan(share: number): void {
    const by = share * (this.view.to - this.view.from);
    this.look({ from: this.view.from + by, to: this.view.to + by });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions: Record<string, () => void> = {
      "+": () => this.zoom(ZOOM),
      "=": () => this.zoom(ZOOM),
      "-": () => this.zoom(1 / ZOOM),
      "0": () => this.whole(),
      Home: () => this.whole(),
      ArrowLeft: () => (event.shiftKey ? this.pan(-PAN) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.pan(PAN) : this.step(1)),
      ArrowUp: () => this.climb(-1),
      ArrowDown: () => this.climb(1),
      Enter: () => this.selected !== null && this.zoomTo(this.selected),
      g: () => this.events.open(),
      Escape: () => {
        this.events.select(null);
        this.whole();
      },
    };
    const act = actions[event.key];
    if (act === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  /** To the next box of the row; at first to the first in sight. */
  private step(by: number): void {
    const { selected } = this;
    if (selected === null) return this.climb(1);
    const { start } = this.lanes[selected.lane].rows[selected.row];
    this.choose({ ...selected, at: Math.min(start.length - 1, Math.max(0, selected.at + by)) });
  }

  /** To the next row, above or below, that has a box at the selected one's time, or else the nearest after it. */
  private climb(by: number): void {
    const all = this.lanes.flatMap(({ rows }, lane) => rows.map((_, row) => ({ lane, row })));
    const { selected } = this;
    if (all.length === 0) return;
    const here = all.findIndex(({ lane, row }) => lane === selected?.lane && row === selected.row);
    const boxes = selected === null ? null : this.lanes[selected.lane].rows[selected.row];
    const [from, to] =
      boxes === null || selected === null
        ? [this.view.from, this.view.to]
        : [boxes.start[selected.at], boxes.end[selected.at]];
    for (let next = here + by; next >= 0 && next < all.length; next += by) {
      const row = this.lanes[all[next].lane].rows[all[next].row];
      const inside = boxAt(row, from);
      const at = inside >= 0 ? inside : firstAfter(row, from);
      const otherLane = all[next].lane !== selected?.lane;
      if (at < row.start.length && (otherLane || row.start[at] < to))
        return this.choose({ ...all[next], at });
    }
  }

  private choose(spot: Spot): void {
    this.events.select(spot);
    this.reveal(spot);
  }
}
