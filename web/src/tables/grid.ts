/** A table of any length: only the rows in sight are in the document. Sorted, filtered, copied as text. */

import { asText, rowsOf, startsAscending, type Column, type Table, type Value } from "../columns";
import { button, el, styled } from "../dom";
import { clip, digits, formatCount, formatShare, formatValue, NONE } from "../format";
import { copyText } from "./copy";

const ROW = 26;
/** Rows beyond the edges that are there already when they come into sight. */
const SPARE = 8;
const ON_PAPER = 60;
const MOST_TEXT = 300;

export interface GridState {
  column: string;
  ascending: boolean;
  filter: string;
}

export interface GridEvents {
  changed(state: GridState): void;
  /** A row's first text was chosen; leave it out where it leads nowhere. */
  pick?: (row: number) => void;
}

export class Grid {
  readonly element = el("div", { class: "grid-table" });
  private readonly scroller = el("div", { class: "rows", tabindex: "0", role: "region" });
  private readonly body = el("tbody");
  private readonly head = el("thead");
  private readonly frame: HTMLTableElement;
  private readonly filter = el("input", { type: "search", placeholder: "Filter", spellcheck: "false" });
  private readonly said = el("output");
  private readonly fallback = el("div");
  private rows: number[] = [];
  private state: GridState = { column: "", ascending: false, filter: "" };
  private printing = false;
  private pending = false;

  constructor(
    private readonly table: Table,
    private readonly events: GridEvents,
  ) {
    this.filter.setAttribute("aria-label", `Filter ${table.title}`);
    this.scroller.setAttribute("aria-label", `${table.title}, table`);
    this.frame = el("table", { "aria-label": table.title }, this.head, this.body);
    this.scroller.append(this.frame);
    const tools = el(
      "div",
      { class: "grid-tools" },
      this.filter,
      button("Copy as text", { class: "copy" }, () => void this.copy()),
      this.said,
    );
    const notes = [...table.notes];
    if (table.leftOut > 0)
      notes.push(`${formatCount(table.leftOut)} more rows are not in this page; llmflame export has them.`);
    this.element.append(
      tools,
      this.fallback,
      this.scroller,
      ...notes.map((note) => el("p", { class: "aside" }, note)),
    );
    this.filter.addEventListener("input", () => this.set({ filter: this.filter.value }));
    this.scroller.addEventListener("scroll", () => this.soon(), { passive: true });
    window.addEventListener("beforeprint", () => this.onPaper(true));
    window.addEventListener("afterprint", () => this.onPaper(false));
  }

  show(state: GridState): void {
    this.state = state;
    if (this.filter.value !== state.filter) this.filter.value = state.filter;
    this.rows = rowsOf(this.table, state.filter, state.column, state.ascending);
    const all = this.table.count;
    this.said.textContent =
      this.rows.length === all
        ? `${formatCount(all)} rows`
        : `${formatCount(this.rows.length)} of ${formatCount(all)} rows`;
    this.frame.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.drawHead();
    this.drawRows();
  }

  /** What a row is comes first: on a narrow screen the rest is out of sight. */
  private get columns(): readonly Column[] {
    const shown = this.table.columns.filter((column) => column.shown);
    const name = shown.find(({ unit }) => unit === "text");
    return name === undefined ? shown : [name, ...shown.filter((column) => column !== name)];
  }

  private set(change: Partial<GridState>): void {
    this.scroller.scrollTop = 0;
    this.show({ ...this.state, ...change });
    this.events.changed(this.state);
  }

  private drawHead(): void {
    const { column: by, ascending } = this.state;
    const cells = this.columns.map((column) => {
      const sorted = column.name === by;
      const mark = sorted ? (ascending ? " ↑" : " ↓") : "";
      const control = button(column.label + mark, { title: column.name }, () => {
        this.set({ column: column.name, ascending: sorted ? !ascending : startsAscending(column.unit) });
        this.head.querySelectorAll<HTMLElement>("button")[this.columns.indexOf(column)]?.focus();
      });
      const order = sorted ? (ascending ? "ascending" : "descending") : "none";
      return el("th", { scope: "col", "aria-sort": order, class: kindOf(column) }, control);
    });
    this.head.replaceChildren(el("tr", { "aria-rowindex": "1" }, ...cells));
  }

  private soon(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => this.drawRows());
  }

  private onPaper(printing: boolean): void {
    this.printing = printing;
    this.drawRows();
  }

  private drawRows(): void {
    this.pending = false;
    const height = this.scroller.clientHeight || ROW * 20;
    const first = this.printing ? 0 : Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - SPARE);
    const wanted = this.printing ? ON_PAPER : Math.ceil(height / ROW) + 2 * SPARE;
    const last = Math.min(this.rows.length, first + wanted);
    const held = this.body.contains(document.activeElement) ? this.placeOfFocus() : -1;
    const lines = [];
    for (let at = first; at < last; at++) lines.push(this.row(this.rows[at], at));
    const below = this.printing ? 0 : this.rows.length - last;
    this.body.replaceChildren(...spacer(first), ...lines, ...spacer(below));
    if (this.rows.length === 0)
      this.body.append(
        el("tr", {}, el("td", { colspan: String(this.columns.length) }, "No row has that in its text.")),
      );
    if (held >= 0)
      this.body
        .querySelector<HTMLElement>(`tr[aria-rowindex="${held}"] button`)
        ?.focus({ preventScroll: true });
  }

  private placeOfFocus(): number {
    return Number(document.activeElement?.closest("tr")?.getAttribute("aria-rowindex") ?? -1);
  }

  private row(row: number, at: number): HTMLElement {
    let led = false;
    const cells = this.columns.map((column) => {
      const shown = cellText(column.values[row], column.unit);
      const cell = el("td", { class: kindOf(column) });
      const { pick } = this.events;
      if (!led && column.unit === "text" && pick !== undefined) {
        led = true;
        cell.append(button(shown, { class: "link", title: "Show in the graph" }, () => pick(row)));
      } else cell.append(shown);
      if (column.unit === "text") cell.title = shown;
      return cell;
    });
    return el("tr", { "aria-rowindex": String(at + 2) }, ...cells);
  }

  private async copy(): Promise<void> {
    const text = asText(this.table, this.rows);
    const copied = await copyText(text, this.fallback);
    const count = `${formatCount(this.rows.length)} rows`;
    this.said.textContent = copied ? `${count} copied` : `${count} are selected: press Ctrl+C to copy`;
  }
}

/** Rows out of sight, as one. */
function spacer(rows: number): HTMLElement[] {
  if (rows === 0) return [];
  return [styled(el("tr", { class: "spacer", "aria-hidden": "true" }), "height", `${rows * ROW}px`)];
}

function kindOf({ unit }: Column): string {
  return unit === "text" ? "text" : "number";
}

export function cellText(value: Value, unit: string): string {
  if (value === null) return NONE;
  if (typeof value !== "number") return clip(String(value), MOST_TEXT);
  if (unit === "share") return formatShare(value);
  if (unit === "index") return formatCount(value);
  if (unit === "ratio") return digits(value);
  return formatValue(value, unit);
}
