/** Decode steps: time and memory of each, their distribution, and the outliers with what was different. */

import { button, el } from "../dom";
import { clip, formatBytes, formatCount, formatNs } from "../format";
import { header, type Section, type SectionContext, type SectionKind } from "../section";
import { Grid } from "../tables/grid";
import { drawHistogram, drawMemory, drawTimes, stepAt } from "./chart";
import { decodeSteps, differencesOf, nearest, tookMemory, type Outlier, type Steps } from "./model";

const TALL = 200;
const LOW = 110;
const FIRST_OUTLIERS = 5;
const USUAL_WIDTH = 700;

export const stepsSection: SectionKind = {
  id: "steps",
  title: "Steps",
  make: (context) => new StepsView(context),
};

class StepsView implements Section {
  private readonly steps: Steps;
  private readonly plot = el("div", { class: "step-plot", tabindex: "0", role: "slider" });
  private readonly bytes = el("div", { class: "step-plot low" });
  private readonly histogram = el("figure", { class: "histogram" });
  private readonly readout = el("p", { class: "readout" });
  private readonly grid: Grid;
  private cursor = -1;

  constructor(private readonly context: SectionContext) {
    this.steps = decodeSteps(context.data);
    this.grid = new Grid(this.steps.table, { changed: () => undefined });
    const { place } = context;
    const times = el("div", {}, this.plot, this.steps.memory.length > 0 ? this.bytes : null, this.key());
    place.append(
      header("steps", "Steps"),
      el("p", { class: "aside" }, this.inWords()),
      el("div", { class: "step-charts" }, times, this.histogram),
      this.readout,
      this.outliers(),
      this.table(),
    );
    this.plot.setAttribute("aria-label", "Decode steps");
    this.plot.setAttribute("aria-valuemin", String(this.steps.index[0]));
    this.plot.setAttribute("aria-valuemax", String(this.steps.index[this.steps.index.length - 1]));
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.plot);
    this.restore();
  }

  recolour(): void {
    this.draw();
  }

  restore(): void {
    const wanted = this.context.state.get("at");
    const step = Number(wanted);
    this.moveTo(wanted !== "" && Number.isFinite(step) ? nearest(this.steps.index, step) : -1);
  }

  private inWords(): string {
    const { spread, repetitions, notes } = this.steps;
    const over = repetitions > 1 ? ` in ${repetitions} repetitions` : "";
    const words = [
      `${formatCount(spread.count)} decode steps${over}: half took at most ${formatNs(spread.p50_ns)}, ` +
        `90 % at most ${formatNs(spread.p90_ns)}, 99 % at most ${formatNs(spread.p99_ns)}.`,
      ...notes,
    ];
    return words.join(" ");
  }

  private key(): HTMLElement {
    const item = (name: string, words: string): HTMLElement =>
      el("span", {}, el("i", { class: `key ${name}`, "aria-hidden": "true" }), words);
    const { repetitions, anatomy, outliers, memory } = this.steps;
    return el(
      "p",
      { class: "keys" },
      item("median", repetitions > 1 ? "median of the repetitions" : "time"),
      repetitions > 1 ? item("band", "shortest to longest") : null,
      outliers.length > 0 ? item("outlier", "outlier") : null,
      anatomy.some((what) => what?.includes("traced")) ? item("traced", "traced in the anatomy pass") : null,
      anatomy.some((what) => what !== null && !what.includes("traced"))
        ? item("anchored", "timed by module there")
        : null,
      ...memory.map(({ label }, at) => item(`memory m${at}`, `${label}, since the first step`)),
    );
  }

  private listen(): void {
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.context.tooltip.hide());
    this.plot.addEventListener("click", (event) => this.choose(this.placeOf(event)));
    this.plot.addEventListener("keydown", (event) => {
      const last = this.steps.index.length - 1;
      const moves: Record<string, number> = {
        ArrowRight: this.cursor + 1,
        ArrowLeft: this.cursor < 0 ? last : this.cursor - 1,
        PageUp: this.cursor + 10,
        PageDown: this.cursor - 10,
        Home: 0,
        End: last,
      };
      const wanted = moves[event.key];
      if (event.key === "Escape") this.choose(-1);
      else if (wanted !== undefined) this.choose(Math.min(last, Math.max(0, wanted)));
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  private placeOf(event: MouseEvent): number {
    const area = this.plot.getBoundingClientRect();
    const frame = { width: area.width, height: TALL };
    return nearest(this.steps.index, stepAt(this.steps, event.clientX - area.left, frame));
  }

  private point(event: PointerEvent): void {
    if (event.pointerType === "touch") return;
    const place = this.placeOf(event);
    this.context.tooltip.showPairs(`Step ${this.steps.index[place]}`, this.told(place), event);
  }

  private told(place: number): [string, string][] {
    const { median, low, high, repetitions, anatomy, memory } = this.steps;
    const pairs: [string, string][] = [[repetitions > 1 ? "median" : "time", formatNs(median[place])]];
    if (repetitions > 1) pairs.push(["shortest", formatNs(low[place])], ["longest", formatNs(high[place])]);
    for (const { label, values } of memory) {
      const value = values[place];
      if (value !== null) pairs.push([label, formatBytes(value)]);
    }
    const what = anatomy[place];
    if (what !== null) pairs.push(["in the anatomy pass", what]);
    return pairs;
  }

  private choose(place: number): void {
    this.moveTo(place);
    this.context.state.set({ at: place < 0 ? "" : String(this.steps.index[place]) });
  }

  private moveTo(place: number): void {
    this.cursor = place;
    this.draw();
    const shown = place < 0 ? 0 : place;
    this.plot.setAttribute("aria-valuenow", String(this.steps.index[shown]));
    const words = this.told(shown).map(([label, value]) => `${label} ${value}`);
    this.plot.setAttribute("aria-valuetext", `Step ${this.steps.index[shown]}: ${words.join(", ")}`);
    this.readout.hidden = place < 0;
    if (place < 0) return;
    const step = this.steps.index[place];
    this.readout.replaceChildren(
      el("b", {}, `Step ${step}: `),
      `${words.join(", ")}. `,
      ...this.ways(step, this.steps.anatomy[place]),
    );
  }

  /** To the timeline of a step that was traced, else to its phase. */
  private ways(step: number, anatomy: string | null): HTMLElement[] {
    const { wishes } = this.context;
    const found = [button("Decode in the graph", { class: "quiet" }, () => wishes.goToFrame("decode"))];
    if (anatomy?.includes("traced") && wishes.has("timeline"))
      found.unshift(
        button("Its timeline", { class: "quiet" }, () =>
          wishes.goToSection("timeline", { window: `decode.${step}`, view: "", at: "" }),
        ),
      );
    return found;
  }

  private draw(): void {
    const width = this.plot.clientWidth || USUAL_WIDTH;
    this.plot.replaceChildren(drawTimes(this.steps, { width, height: TALL }, this.cursor, formatNs));
    if (this.steps.memory.length > 0)
      this.bytes.replaceChildren(drawMemory(this.steps, { width, height: LOW }, this.cursor, formatBytes));
    const room = Math.max(180, this.histogram.clientWidth || 0);
    this.histogram.replaceChildren(
      drawHistogram(this.steps, { width: room, height: TALL }, formatNs),
      el("figcaption", {}, "How the steps' times are spread"),
    );
  }

  private outliers(): HTMLElement {
    const { outliers, outlierCount, spread, deviations } = this.steps;
    if (spread.limit_ns === null)
      return el("p", { class: "aside" }, "Too few steps to tell which of them are outliers.");
    const rule =
      `more than ${formatNs(spread.limit_ns)} (${deviations} deviations of such differences, or 2 % of the ` +
      "median) above the median of the 15 steps before and after, fewer near the ends";
    if (outliers.length === 0) return el("p", { class: "aside" }, `No step took ${rule}.`);
    const items = outliers.map((outlier) => this.outlier(outlier));
    const rest = items.slice(FIRST_OUTLIERS);
    const more =
      rest.length === 0
        ? null
        : el(
            "details",
            {},
            el("summary", {}, `${formatCount(rest.length)} more outliers`),
            el("ol", { class: "outliers" }, ...rest),
          );
    const left = outlierCount > outliers.length ? ` The ${outliers.length} longest are listed.` : "";
    return el(
      "div",
      {},
      el("h3", {}, `${formatCount(outlierCount)} outlier${outlierCount === 1 ? "" : "s"}`),
      el("p", { class: "aside" }, `Steps that took ${rule}.${left}`),
      el("ol", { class: "outliers" }, ...items.slice(0, FIRST_OUTLIERS)),
      more,
    );
  }

  private outlier(outlier: Outlier): HTMLElement {
    const { wishes } = this.context;
    const { step, repetition, wall_ns, usual_ns } = outlier;
    const which = this.steps.repetitions > 1 ? ` of request ${repetition + 1}` : "";
    const name = button(`Step ${step}${which}`, { class: "link" }, () => {
      this.choose(nearest(this.steps.index, step));
      this.plot.scrollIntoView({ block: "center" });
      this.plot.focus({ preventScroll: true });
    });
    const different = differencesOf(outlier);
    return el(
      "li",
      {},
      name,
      ` took ${formatNs(wall_ns)}, ${formatNs(wall_ns - usual_ns)} more than those around it`,
      different.length > 0
        ? `: ${clip(different.join(", "), 300)}. `
        : ". Nothing that the profile counts was different. ",
      tookMemory(outlier) && wishes.has("memory")
        ? button("Memory", { class: "quiet" }, () => wishes.goToSection("memory"))
        : null,
      wishes.has("timeline") && repetition < this.steps.requests
        ? button("When", { class: "quiet", title: "In the timeline of its request" }, () =>
            wishes.goToSection("timeline", {
              window: `request.${repetition + 1}`,
              at: `step.${step}`,
              view: "",
            }),
          )
        : null,
    );
  }

  private table(): HTMLElement {
    const details = el("details", {}, el("summary", {}, "All steps as a table"), this.grid.element);
    details.addEventListener("toggle", () => {
      if (details.open) this.grid.show({ column: "", ascending: true, filter: "" });
    });
    return details;
  }
}
