/** The table of top frames within the zoomed one. */

import { kindColour, KIND_NAMES, type Scheme } from "./colour";
import { button, el, styled } from "./dom";
import { clip, formatCount, formatShare, formatValue, inSentence, NONE, shortFile } from "./format";
import type { Ranked } from "./rank";
import type { Metric } from "./tree";

export type Column = "name" | "self" | "total" | "calls";

const STEP = 25;
/** Rows that are made at once: a frame has time for no more. */
const PIECE = 9;
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
  /** The rows that stand in the table, of `view` as far as `drawn` says so. */
  private lines: { row: Ranked; element: HTMLElement }[] = [];
  private drawn = false;
  private readonly title = el("h2");
  private readonly heads = el("tr");
  private readonly body = el("tbody");
  private readonly rest = el("p", { class: "more" });

  constructor(
    private readonly place: HTMLElement,
    private readonly pick: (row: Ranked) => void,
  ) {}

  /** What is to be done to show it, one after the other, each of it short enough for a frame. */
  show(view: TableView): (() => void)[] {
    const old = this.view;
    const same =
      this.drawn && old?.rows === view.rows && old.metric === view.metric && old.scheme === view.scheme;
    this.view = view;
    return same ? [() => this.select(view)] : this.pieces(view);
  }

  private draw(): void {
    if (this.view !== null) for (const act of this.pieces(this.view)) act();
  }

  private pieces(view: TableView): (() => void)[] {
    this.drawn = false;
    const rows = sortRows(view.rows, this.column, this.ascending);
    const shown = rows.slice(0, this.limit);
    const acts = [
      (): void => {
        if (!this.body.isConnected)
          this.place.replaceChildren(
            this.title,
            el("table", {}, el("thead", {}, this.heads), this.body),
            this.rest,
          );
        this.title.replaceChildren("Top frames by self ", inSentence(view.metric.label));
        this.title.append(el("small", {}, ` in ${clip(view.within, 60)}`));
        this.heads.replaceChildren(...HEADS.map(([column, label]) => this.head(column, label)));
        this.more(rows.length);
      },
    ];
    for (let from = 0; from < shown.length; from += PIECE)
      acts.push(() => this.write(shown, from, Math.min(shown.length, from + PIECE), view));
    acts.push(() => {
      for (const { element } of this.lines.splice(shown.length)) element.remove();
      this.drawn = this.view === view;
    });
    // A view that has come since has pieces of its own.
    return acts.map((act) => () => this.view === view && act());
  }

  /** In place of those that stand there: a table that shrank and grew would move what is below it. */
  private write(rows: readonly Ranked[], from: number, to: number, view: TableView): void {
    for (let at = from; at < to; at++) {
      const element = this.row(rows[at], view);
      if (at < this.lines.length) this.lines[at].element.replaceWith(element);
      else this.body.append(element);
      this.lines[at] = { row: rows[at], element };
    }
  }

  private select(view: TableView): void {
    for (const { row, element } of this.lines)
      element.setAttribute("aria-selected", String(view.isSelected(row)));
  }

  private head(column: Column, label: string): HTMLElement {
    const sorted = column === this.column;
    const order = sorted ? (this.ascending ? "ascending" : "descending") : "none";
    const mark = sorted ? (this.ascending ? " ↑" : " ↓") : "";
    const control = button(label + mark, {}, () => {
      this.ascending = sorted ? !this.ascending : column === "name";
      this.column = column;
      this.draw();
      this.heads
        .querySelectorAll<HTMLElement>("button")
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

  private more(count: number): void {
    const line = this.rest;
    line.replaceChildren(count === 0 ? "Nothing here has any of this metric." : "");
    if (count <= this.limit) return;
    const next = Math.min(count - this.limit, STEP * 4);
    line.append(
      button(`Show ${next} more`, { class: "quiet" }, () => {
        this.limit += next;
        this.draw();
      }),
      ` of ${formatCount(count)} frames`,
    );
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
