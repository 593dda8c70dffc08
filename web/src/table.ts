/** The table of top frames within the zoomed one. */

import { kindColour, KIND_NAMES, type Scheme } from "./colour";
import { button, el, styled } from "./dom";
import { clip, formatCount, formatShare, formatValue, inSentence, NONE, shortFile } from "./format";
import type { Ranked } from "./rank";
import type { Metric } from "./tree";

export type Column = "name" | "self" | "total" | "calls";

const STEP = 25;
const HEADS: [Column, string][] = [
  ["self", "Self"],
  ["total", "Total"],
  ["calls", "Calls"],
  ["name", "Frame"],
];

export interface TableView {
  rows: readonly Ranked[];
  metric: Metric;
  within: string;
  whole: number;
  hasCalls: boolean;
  scheme: Scheme;
  isSelected(row: Ranked): boolean;
}

export class FrameTable {
  private column: Column = "self";
  private ascending = false;
  private limit = STEP;
  private view: TableView | null = null;

  constructor(
    private readonly place: HTMLElement,
    private readonly pick: (row: Ranked) => void,
  ) {}

  show(view: TableView): void {
    this.view = view;
    this.draw();
  }

  private draw(): void {
    const view = this.view;
    if (view === null) return;
    const rows = sortRows(view.rows, this.column, this.ascending);
    const shown = rows.slice(0, this.limit);
    const body = el("tbody", {}, ...shown.map((row) => this.row(row, view)));
    const head = el("tr", {}, ...HEADS.map(([column, label]) => this.head(column, label)));
    const title = el(
      "h2",
      {},
      "Top frames by self ",
      inSentence(view.metric.label),
      el("small", {}, ` in ${clip(view.within, 60)}`),
    );
    this.place.replaceChildren(title, el("table", {}, el("thead", {}, head), body), this.more(rows.length));
  }

  private head(column: Column, label: string): HTMLElement {
    const sorted = column === this.column;
    const order = sorted ? (this.ascending ? "ascending" : "descending") : "none";
    const mark = sorted ? (this.ascending ? " ↑" : " ↓") : "";
    const control = button(label + mark, {}, () => {
      this.ascending = sorted ? !this.ascending : column === "name";
      this.column = column;
      this.draw();
      this.place
        .querySelectorAll<HTMLElement>("th button")
        [HEADS.findIndex(([name]) => name === column)]?.focus();
    });
    return el("th", { scope: "col", class: column, "aria-sort": order }, control);
  }

  private row(row: Ranked, view: TableView): HTMLElement {
    const share = view.whole > 0 ? row.self / view.whole : 0;
    const swatch = styled(
      el("i", { class: "swatch" }),
      "background",
      kindColour(row.frame.kind, view.scheme),
    );
    swatch.title = KIND_NAMES[row.frame.kind] ?? row.frame.kind;
    const name = button(clip(row.frame.name, 240), { class: "link" }, () => this.pick(row));
    const meter = el(
      "span",
      { class: "meter" },
      styled(el("span"), "width", `${Math.min(100, share * 100)}%`),
    );
    const line = el(
      "tr",
      { "aria-selected": String(view.isSelected(row)) },
      el(
        "td",
        { class: "self" },
        el(
          "div",
          {},
          el("small", {}, formatShare(share)),
          meter,
          el("b", {}, formatValue(row.self, view.metric.unit)),
        ),
      ),
      el("td", { class: "total" }, formatValue(row.total, view.metric.unit)),
      el("td", { class: "calls" }, view.hasCalls && row.calls > 0 ? formatCount(row.calls) : NONE),
      el("td", { class: "name" }, el("div", {}, swatch, name, el("span", { class: "where" }, where(row)))),
    );
    line.addEventListener("click", (event) => {
      if (!(event.target instanceof HTMLButtonElement)) this.pick(row);
    });
    return line;
  }

  private more(count: number): HTMLElement {
    const line = el("p", { class: "more" });
    if (count === 0) line.append("Nothing here has any of this metric.");
    if (count > this.limit) {
      const next = Math.min(count - this.limit, STEP * 4);
      line.append(
        button(`Show ${next} more`, { class: "quiet" }, () => {
          this.limit += next;
          this.draw();
        }),
        ` of ${formatCount(count)} frames`,
      );
    }
    return line;
  }
}

export function sortRows(rows: readonly Ranked[], column: Column, ascending: boolean): Ranked[] {
  const sign = ascending ? 1 : -1;
  return rows.slice().sort((a, b) => {
    if (column === "name")
      return sign * (a.frame.name < b.frame.name ? -1 : a.frame.name > b.frame.name ? 1 : 0);
    return sign * (a[column] - b[column]);
  });
}

function where(row: Ranked): string {
  const { file, line } = row.frame;
  if (file !== null && row.frame.kind !== "module")
    return shortFile(file) + (line === null ? "" : `:${line}`);
  return row.module ?? "";
}
