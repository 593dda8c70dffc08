/** The rows of an experiment: what was gained, by what, at which price, and whether the output stayed the same. */

import { el } from "../dom";
import { digits, formatCount, formatTimes } from "../format";
import { header, type Section, type SectionContext, type SectionKind } from "../section";
import { Grid, type GridState } from "../tables/grid";
import { drawBars, drawCrossover, drawScatter } from "./charts";
import { asTable, crossings, decodeLab, lines, measured, type Lab, type Line, type Row } from "./model";

const USUAL_WIDTH = 700;

export const labSection: SectionKind = {
  id: "lab",
  title: "Experiment",
  make: (context) => new LabView(context),
};

class LabView implements Section {
  private readonly lab: Lab;
  private readonly lines: readonly Line[];
  private readonly bars = el("figure", { class: "lab-chart" });
  private readonly scatter = el("figure", { class: "lab-chart" });
  private readonly crossover = el("figure", { class: "lab-chart" });
  private readonly grid: Grid;
  private order: GridState = { column: "", ascending: false, filter: "" };

  constructor(context: SectionContext) {
    this.lab = decodeLab(context.data);
    this.lines = lines(this.lab.rows);
    this.grid = new Grid(asTable(this.lab.rows), { changed: (order) => (this.order = order) });
    const { place } = context;
    place.append(
      header("lab", "Experiment"),
      el("p", { class: "lab-lead" }, this.sentence()),
      el("p", { class: "aside" }, this.about()),
      this.bars,
      el("div", { class: "lab-pair" }, this.scatter, this.lines.length > 0 ? this.crossover : null),
      ...this.failures(),
      this.grid.element,
    );
    // What an experiment says comes before the flame graph of one of its rows.
    document.getElementById("figures")?.before(place);
    if (this.lab.bare) document.documentElement.dataset["lab"] = "bare";
    new ResizeObserver(() => this.draw()).observe(this.bars);
    this.restore();
  }

  recolour(): void {
    this.draw();
  }

  restore(): void {
    this.draw();
    this.grid.show(this.order);
  }

  private sentence(): string {
    const { rows, best } = this.lab;
    const row = rows.find(({ label }) => label === best);
    if (row === undefined || row.speedup === null)
      return "No row was found to be faster than the stock model.";
    const { ratio, low, high } = row.speedup;
    const rate = row.figures === null ? "" : `, ${digits(row.figures.tokens_per_s)} tokens/s`;
    return `${row.label} is ${formatTimes(ratio)} as fast as the stock model (${digits(low)} to ${digits(high)})${rate}.`;
  }

  private about(): string {
    const { confidence, rounds, bare } = this.lab;
    const graph = bare ? "" : " The graph below is the best row's, beside the stock model's.";
    return (
      `Whiskers are intervals of ${Math.round(confidence * 100)} % from ${formatCount(rounds)} rounds of fresh processes. ` +
      `A row whose output differs has no speed.${graph}`
    );
  }

  private draw(): void {
    const { ladder, rows, batches, best } = this.lab;
    const width = this.bars.clientWidth || USUAL_WIDTH;
    const climbed = ladder.length > 0;
    const shown = climbed ? ladder : measured(rows);
    if (shown.length > 0) {
      const caption = climbed
        ? "The ladder: each rung adds to the one above it"
        : "Speed-up over the stock model";
      this.bars.replaceChildren(drawBars(shown, width, best), el("figcaption", {}, caption));
      const half = this.lines.length > 0 ? this.scatter.clientWidth || width / 2 : width;
      if (measured(rows).some(({ figures }) => figures?.peak_bytes != null))
        this.scatter.replaceChildren(
          drawScatter(rows, half),
          el("figcaption", {}, "Speed against memory: up is faster, left needs less"),
        );
    }
    if (this.lines.length > 0) {
      const told = this.lines.flatMap(crossings);
      this.crossover.replaceChildren(
        drawCrossover(this.lines, batches, this.crossover.clientWidth || width / 2),
        el("figcaption", {}, told.length > 0 ? `${told.join("; ")}.` : "Speed-up by batch size"),
      );
    }
  }

  private failures(): HTMLElement[] {
    const items = this.lab.rows.filter(({ verdict }) => ["disagrees", "failed", "skipped"].includes(verdict));
    if (items.length === 0) return [];
    const item = ({ label, verdict, reason }: Row): HTMLElement =>
      el("li", { class: verdict }, el("b", {}, label), ` ${verdict}: ${reason ?? ""}`);
    return [el("ul", { class: "lab-out" }, ...items.map(item))];
  }
}
