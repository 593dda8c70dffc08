/** The traced windows and the undisturbed requests, as they went. */

import type { Scheme } from "../colour";
import { button, el, styled } from "../dom";
import { clip, formatBytes, formatNs, formatShare, shortFile } from "../format";
import { header, type Section, type SectionContext, type SectionKind } from "../section";
import { idleOf, Timeline, type RawTimeline, type Spot, type WindowInfo } from "./model";
import { causeColour } from "./paint";
import { TimelineCanvas, type Span } from "./view";

const ZOOM = 2;
/** The address is written once the view has come to rest. */
const REST_MS = 250;

export const timelineSection: SectionKind = {
  id: "timeline",
  title: "Timeline",
  make: (context) => new TimelineView(context),
};

class TimelineView implements Section {
  private readonly timeline: Timeline;
  private readonly canvas: TimelineCanvas;
  private readonly choice = el("select", { id: "timeline-window" });
  private readonly about = el("p", { class: "aside" });
  private readonly legend = el("p", { class: "keys" });
  private readonly readout = el("p", { class: "readout" });
  private window = 0;
  private selected: Spot | null = null;
  private scheme: Scheme = "light";
  private resting = 0;

  constructor(private readonly context: SectionContext) {
    this.timeline = new Timeline(context.data as RawTimeline);
    this.canvas = new TimelineCanvas(this.timeline, {
      hover: (spot, event) => this.hover(spot, event),
      select: (spot) => this.select(spot),
      moved: (view) => this.moved(view),
      open: () => this.open(),
    });
    const label = el("label", { class: "field" }, el("span", {}, "Window"), this.choice);
    const zoom = el(
      "div",
      { class: "choice", role: "group", "aria-label": "Zoom" },
      button("−", { "aria-label": "Zoom out", title: "Zoom out (-)" }, () => this.canvas.zoom(1 / ZOOM)),
      button("+", { "aria-label": "Zoom in", title: "Zoom in (+)" }, () => this.canvas.zoom(ZOOM)),
      button("Whole window", { title: "Esc" }, () => this.canvas.whole()),
    );
    context.place.append(
      header("timeline", "Timeline", label, zoom),
      this.about,
      this.canvas.element,
      this.legend,
      this.readout,
    );
    this.drawChoice();
    this.choice.addEventListener("change", () => {
      this.context.state.set({ window: this.choice.value, view: "", at: "" });
      this.restore();
    });
    this.restore();
  }

  recolour(scheme: Scheme): void {
    this.scheme = scheme;
    this.canvas.recolour(scheme);
    this.drawLegend();
  }

  restore(): void {
    const { state } = this.context;
    const { windows } = this.timeline;
    const known = windows.findIndex(({ id }) => id === state.get("window"));
    this.window = known >= 0 ? known : this.timeline.first;
    const shown = windows[this.window];
    this.choice.value = shown.id;
    this.selected = this.spotOf(state.get("at"));
    this.canvas.show(
      this.timeline.lanes(this.window),
      shown.wall,
      viewOf(state.get("view"), shown.wall),
      this.selected,
    );
    if (this.selected !== null) this.canvas.reveal(this.selected);
    this.about.textContent = this.inWords(shown);
    this.drawLegend();
    this.tell();
  }

  private get lanes(): ReturnType<Timeline["lanes"]> {
    return this.timeline.lanes(this.window);
  }

  private drawChoice(): void {
    const group = (label: string, traced: boolean): HTMLElement | null => {
      const own = this.timeline.windows.filter((window) => window.traced === traced);
      if (own.length === 0) return null;
      const options = own.map(({ id, label: words, wall }) =>
        el("option", { value: id }, `${words} (${formatNs(wall)})`),
      );
      return el("optgroup", { label }, ...options);
    };
    const groups = [group("Traced", true), group("Undisturbed", false)];
    this.choice.replaceChildren(...groups.filter((item) => item !== null));
  }

  private inWords({ traced, onDevice, dropped, threads, moreThreads }: WindowInfo): string {
    const { leftOut, tooMany, unknown, withoutThreads } = this.timeline;
    const words = [
      !traced
        ? "As it went undisturbed: phases, steps, and memory as it was read meanwhile."
        : onDevice
          ? "As traced: the tracer slows the host and not the device, so gaps are longer here than undisturbed."
          : "As traced: the tracer slows the host, and short calls the most; the flame graph has undisturbed time.",
    ];
    if (threads > 0)
      words.push(
        traced
          ? "Other threads ran beside the main one: their time is no part of the window's."
          : "Threads as they were sampled, some 50 times a second; the workers' time is beside the wall, not part of it.",
      );
    if (moreThreads > 0) words.push(`${moreThreads} threads that did less are not drawn.`);
    if (withoutThreads.length > 0)
      words.push(
        `Too much of other threads to be kept in the profile: that of ${withoutThreads.join(", ")}.`,
      );
    if (unknown.length > 0)
      words.push(
        `Of ${unknown.join(", ")} the profile has no order of events: older releases kept it only where a GPU worked.`,
      );
    if (tooMany.length > 0)
      words.push(`Too many events to be kept in the profile: those of ${tooMany.join(", ")}.`);
    if (dropped > 0) words.push(`The tracer lost ${dropped} events.`);
    if (leftOut.length > 0)
      words.push(`Left out, as too long for a page: ${leftOut.join(", ")}; llmflame export has them.`);
    return words.join(" ");
  }

  private drawLegend(): void {
    const { wall } = this.timeline.windows[this.window];
    const idle = idleOf(this.lanes, this.timeline.causes);
    const whole = idle.reduce((sum, [, ns]) => sum + ns, 0);
    this.legend.hidden = idle.length === 0;
    this.legend.replaceChildren(
      el("span", {}, `GPU idle for ${formatNs(whole)}, ${formatShare(whole / wall)} of the window:`),
      ...idle.map(([cause, ns]) => {
        const swatch = styled(el("i", { class: "swatch" }), "background", causeColour(cause, this.scheme));
        return el("span", {}, swatch, ` ${cause} ${formatNs(ns)}`);
      }),
    );
  }

  /** `lane.row.place`, or `step.8` for the box of a step. */
  private spotOf(words: string): Spot | null {
    const step = /^step\.(\d+)$/.exec(words);
    const parts = words.split(".").map(Number);
    for (const [lane, { rows }] of this.lanes.entries()) {
      for (const [row, { what }] of rows.entries()) {
        if (step !== null && this.lanes[lane].kind === "spans") {
          const at = what.findIndex((node) => this.timeline.frame(node).name === `step ${step[1]}`);
          if (at >= 0) return { lane, row, at };
        } else if (
          parts.length === 3 &&
          parts[0] === lane &&
          parts[1] === row &&
          what[parts[2]] !== undefined
        )
          return { lane, row, at: parts[2] };
      }
    }
    return null;
  }

  private moved({ from, to }: Span): void {
    this.context.tooltip.hide();
    window.clearTimeout(this.resting);
    const { wall } = this.timeline.windows[this.window];
    const whole = from <= 0 && to >= wall;
    this.resting = window.setTimeout(
      () => this.context.state.set({ view: whole ? "" : `${Math.round(from)}-${Math.round(to)}` }),
      REST_MS,
    );
  }

  private select(spot: Spot | null): void {
    this.selected = spot;
    this.canvas.mark(spot);
    this.context.state.set({ at: spot === null ? "" : `${spot.lane}.${spot.row}.${spot.at}` });
    this.tell();
    if (spot !== null) {
      const words = this.told(spot).map(([label, value]) => `${label} ${value}`);
      this.context.wishes.speak(`${this.nameOf(spot)}, ${words.join(", ")}`);
    }
  }

  private hover(spot: Spot | null, event: PointerEvent | null): void {
    if (spot === null || event === null) return this.context.tooltip.hide();
    this.context.tooltip.showPairs(clip(this.nameOf(spot), 160), this.told(spot), event);
  }

  private nameOf({ lane, row, at }: Spot): string {
    const { kind, rows } = this.lanes[lane];
    const what = rows[row].what[at];
    return kind === "idle" ? `GPU idle: ${this.timeline.causes[what]}` : this.timeline.frame(what).name;
  }

  private told({ lane, row, at }: Spot): [string, string][] {
    const { kind, label, rows } = this.lanes[lane];
    const { start, end, launched, bytes, what } = rows[row];
    const pairs: [string, string][] = [
      ["long", formatNs(end[at] - start[at])],
      ["from", formatNs(start[at])],
      ["in", label],
    ];
    if (launched !== null && !Number.isNaN(launched[at]))
      pairs.push(["after its launch", formatNs(start[at] - launched[at])]);
    if (bytes !== null && bytes[at] >= 0) pairs.push(["moved", formatBytes(bytes[at])]);
    if (kind === "idle") return pairs;
    const { file, line, module, kind: of } = this.timeline.frame(what[at]);
    if (of === "module" && module !== null && module !== "") pairs.push(["module", module]);
    else if (file !== null)
      pairs.push(["at", line === null ? shortFile(file) : `${shortFile(file)}:${line}`]);
    return pairs;
  }

  private tell(): void {
    const spot = this.selected;
    this.readout.hidden = spot === null;
    if (spot === null) return;
    const words = this.told(spot).map(([label, value]) => `${label} ${value}`);
    this.readout.replaceChildren(
      el("b", {}, `${clip(this.nameOf(spot), 200)}: `),
      `${words.join(", ")}. `,
      button("Zoom to it", { class: "quiet" }, () => this.canvas.zoomTo(spot)),
    );
    if (this.lanes[spot.lane].kind !== "idle")
      this.readout.append(button("Show in the graph", { class: "quiet" }, () => this.open()));
  }

  private open(): void {
    const spot = this.selected;
    if (spot === null || this.lanes[spot.lane].kind === "idle") return;
    const node = this.lanes[spot.lane].rows[spot.row].what[spot.at];
    this.context.wishes.goToFrame(this.timeline.wordsOf(node));
  }
}

function viewOf(words: string, wall: number): Span {
  const [from, to] = words.split("-").map(Number);
  return words !== "" && Number.isFinite(from) && Number.isFinite(to) && from < to
    ? { from, to }
    : { from: 0, to: wall };
}
