/** How far operators and modules are from what the device allows. */

import { button, el } from "../dom";
import { digits, formatBytes, formatCount, formatFlop, formatNs, formatShare } from "../format";
import { header, type Section, type SectionContext, type SectionKind } from "../section";
import { Grid, type GridState } from "../tables/grid";
import { drawRoofline, keyOf, perSecond } from "./chart";
import {
  asTable,
  ceilingsInWords,
  decodeRoofline,
  isDrawn,
  reachable,
  type Point,
  type Roofline,
} from "./model";

const WIDE = 700;
const TALL = 400;
const ON_PHONE = 320;
const NARROW = 520;
const EVERY_PHASE = "all";

export const rooflineSection: SectionKind = {
  id: "roofline",
  title: "Roofline",
  make: (context) => new RooflineView(context),
};

class RooflineView implements Section {
  private readonly roofline: Roofline;
  private readonly phases: readonly string[];
  private readonly tools = el("div", { class: "tools" });
  private readonly plot = el("div", { class: "roof" });
  private readonly key = el("div");
  private readonly readout = el("p", { class: "readout", "aria-live": "polite" });
  private readonly table = el("details", {}, el("summary", {}, "The points as a table"));
  private order: GridState = { column: "", ascending: false, filter: "" };

  constructor(private readonly context: SectionContext) {
    this.roofline = decodeRoofline(context.data);
    this.phases = [...new Set(this.roofline.points.filter(isDrawn).map(({ phase }) => phase))]
      .sort()
      .reverse();
    const head = header("roofline", "Roofline", this.tools);
    context.place.append(head, this.about(), this.plot, this.key, this.readout, this.table);
    this.table.addEventListener("toggle", () => this.drawTable());
    new ResizeObserver(() => this.drawPlot()).observe(this.plot);
    this.restore();
  }

  recolour(): void {
    this.drawPlot();
  }

  restore(): void {
    this.drawTools();
    this.drawPlot();
    this.drawTable();
    this.tell();
  }

  private get by(): "class" | "module" {
    return this.context.state.get("by") === "module" ? "module" : "class";
  }

  private get phase(): string {
    const wanted = this.context.state.get("phase");
    return this.phases.includes(wanted) ? wanted : EVERY_PHASE;
  }

  private get shown(): Point[] {
    const { by, phase } = this;
    return this.roofline.points.filter(
      (point) => point.by === by && (phase === EVERY_PHASE || point.phase === phase),
    );
  }

  private get selected(): Point | null {
    const wanted = this.context.state.get("at");
    return this.shown.find((point) => keyOfPoint(point) === wanted) ?? null;
  }

  private about(): HTMLElement {
    const { device, dtype, ceilings, leftOut } = this.roofline;
    const known =
      ceilings.length === 0
        ? `No ceiling of ${device} is known; llmflame machine --measure measures a machine's.`
        : `Ceilings of ${device}${dtype === null ? "" : `, ${dtype} in full strength`}: measured (solid), published (dashed).`;
    const left = leftOut > 0 ? ` ${formatCount(leftOut)} points with the least time are left out.` : "";
    return el(
      "p",
      { class: "aside" },
      `${known} Bytes are those that operators must move by their shapes: what a cache serves isn't seen.${left}`,
    );
  }

  private drawTools(): void {
    const choice = (
      key: string,
      label: string,
      options: readonly (readonly [string, string])[],
      current: string,
    ): HTMLElement =>
      el(
        "div",
        { class: "choice", role: "group", "aria-label": label },
        ...options.map(([value, words]) =>
          button(words, { "aria-pressed": String(value === current), [`data-${key}`]: value }, () => {
            this.context.state.set({ [key]: value === options[0][0] ? "" : value, at: "" });
            this.restore();
            this.tools.querySelector<HTMLElement>(`[data-${key}="${value}"]`)?.focus();
          }),
        ),
      );
    const by = choice(
      "by",
      "A point is",
      [
        ["class", "Op classes"],
        ["module", "Modules"],
      ],
      this.by,
    );
    const phases = [[EVERY_PHASE, "All phases"], ...this.phases.map((name) => [name, name])] as [
      string,
      string,
    ][];
    const others = this.roofline.ceilings.some(({ own }) => !own);
    const all = this.context.state.get("dtypes") === "all";
    const dtypes = button("All dtypes", { "aria-pressed": String(all), class: "dtypes" }, () => {
      this.context.state.set({ dtypes: all ? "" : "all" });
      this.restore();
      this.tools.querySelector<HTMLElement>(".dtypes")?.focus();
    });
    this.tools.replaceChildren(by);
    if (this.phases.length > 1) this.tools.append(choice("phase", "Phase", phases, this.phase));
    if (others) this.tools.append(dtypes);
  }

  private drawPlot(): void {
    const width = this.plot.clientWidth || WIDE;
    const focused = this.plot.contains(document.activeElement);
    const { ceilings } = this.roofline;
    const all = this.context.state.get("dtypes") === "all";
    const drawing = drawRoofline(
      {
        points: this.shown,
        ceilings: ceilings.filter(({ own }) => own || all),
        selected: this.selected,
        width,
        height: width < NARROW ? ON_PHONE : TALL,
      },
      {
        pick: (point) => this.pick(point),
        hover: (point, event) => {
          if (point === null || event.pointerType === "touch") return this.context.tooltip.hide();
          this.context.tooltip.showPairs(`${point.name}, ${point.phase}`, this.told(point), event);
        },
      },
    );
    this.plot.replaceChildren(drawing);
    if (focused) this.plot.querySelector<SVGElement>('[aria-pressed="true"]')?.focus();
    const names = [...new Set(this.shown.filter(isDrawn).map(({ name }) => name))];
    const phases = [...new Set(this.shown.filter(isDrawn).map(({ phase }) => phase))];
    this.key.replaceChildren(keyOf(names, this.by, phases));
    if (all) this.key.append(el("p", { class: "aside" }, `${ceilingsInWords(ceilings, perSecond)}.`));
  }

  private drawTable(): void {
    if (!this.table.open) return;
    const shown = this.shown;
    const grid = new Grid(asTable(this.roofline, shown), {
      changed: (order) => (this.order = order),
      pick: (row) => this.pick(shown[row]),
    });
    this.table.lastElementChild?.matches(".grid-table") && this.table.lastElementChild.remove();
    this.table.append(grid.element);
    grid.show(this.order);
  }

  private pick(point: Point): void {
    const same = this.selected === point;
    this.context.state.set({ at: same ? "" : keyOfPoint(point) });
    this.context.tooltip.hide();
    this.drawPlot();
    this.tell();
  }

  private told(point: Point): [string, string][] {
    const pairs: [string, string][] = [["time", formatNs(point.time_ns)]];
    const { intensity, flop_per_s } = point;
    if (intensity !== null && flop_per_s !== null) {
      pairs.push(["achieved", perSecond(flop_per_s)], ["FLOP per byte", digits(intensity)]);
      const most = reachable(this.roofline.ceilings, intensity);
      if (most !== null) pairs.push(["of its ceiling", formatShare(flop_per_s / most)]);
    }
    pairs.push(["computed", formatFlop(point.flops)], ["moved", formatBytes(point.bytes)]);
    return pairs;
  }

  private tell(): void {
    const point = this.selected;
    this.readout.hidden = point === null;
    if (point === null) return;
    const words = this.told(point).map(([label, value]) => `${label} ${value}`);
    this.readout.replaceChildren(
      el("b", {}, `${point.name}, ${point.phase}: `),
      `${words.join(", ")}. `,
      button("Show in the graph", { class: "quiet" }, () => this.context.wishes.goToFrame(point.place)),
    );
  }
}

function keyOfPoint({ phase, name }: Point): string {
  return `${phase}~${name}`;
}
