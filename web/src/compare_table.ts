/** A table that is sorted by a click on a column's head. */

import { button, el } from "./dom";

export interface CompareColumn<T> {
  readonly label: string;
  /** What it is sorted by; null comes last. */
  readonly key: (row: T) => number | string | null;
  readonly cell: (row: T) => HTMLElement | string;
  readonly kind?: string;
}

export class CompareTable<T> {
  readonly element = el("div", { class: "scrolled", tabindex: "0" });
  private sorted = -1;
  private ascending = false;
  private limit: number;

  constructor(
    label: string,
    private readonly columns: readonly CompareColumn<T>[],
    private readonly rows: readonly T[],
    private readonly step: number,
  ) {
    this.element.setAttribute("role", "region");
    this.element.setAttribute("aria-label", label);
    this.limit = step;
    this.draw();
  }

  private draw(): void {
    const rows = this.inOrder();
    const heads = this.columns.map((column, index) => this.head(column, index));
    const body = rows
      .slice(0, this.limit)
      .map((row) =>
        el(
          "tr",
          {},
          ...this.columns.map((column) => el("td", { class: column.kind ?? "" }, column.cell(row))),
        ),
      );
    const table = el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...body));
    const more =
      rows.length > this.limit
        ? button(`Show ${Math.min(this.step * 4, rows.length - this.limit)} more`, { class: "quiet" }, () => {
            this.limit += this.step * 4;
            this.draw();
          })
        : null;
    this.element.replaceChildren(...[table, more].filter((part) => part !== null));
  }

  private head(column: CompareColumn<T>, index: number): HTMLElement {
    const here = index === this.sorted;
    const order = here ? (this.ascending ? "ascending" : "descending") : "none";
    const mark = here ? (this.ascending ? " ↑" : " ↓") : "";
    if (column.label === "") return el("td", {});
    const control = button(column.label + mark, {}, () => {
      const text = typeof this.rows.map(column.key).find((key) => key !== null) === "string";
      this.ascending = here ? !this.ascending : text;
      this.sorted = index;
      this.draw();
      this.element.querySelectorAll<HTMLElement>("th button")[index]?.focus();
    });
    return el("th", { scope: "col", class: column.kind ?? "", "aria-sort": order }, control);
  }

  private inOrder(): readonly T[] {
    const column = this.columns[this.sorted];
    if (column === undefined) return this.rows;
    return sortedBy(this.rows, column.key, this.ascending);
  }
}

export function sortedBy<T>(
  rows: readonly T[],
  key: (row: T) => number | string | null,
  ascending: boolean,
): T[] {
  const sign = ascending ? 1 : -1;
  return rows.slice().sort((a, b) => {
    const [one, other] = [key(a), key(b)];
    if (one === null || other === null) return Number(one === null) - Number(other === null);
    return one === other ? 0 : sign * (one < other ? -1 : 1);
  });
}
