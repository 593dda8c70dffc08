/** Functions, operators, kernels and modules, as tables. */

import { decodeTable, type RawTable, type Table } from "../columns";
import { printable } from "../data";
import { button, el } from "../dom";
import { header, type Section, type SectionContext, type SectionKind } from "../section";
import { Grid } from "./grid";

interface RawTables {
  strings: string[];
  tables: RawTable[];
}

export const tablesSection: SectionKind = {
  id: "tables",
  title: "Tables",
  make: (context) => new TablesView(context),
};

class TablesView implements Section {
  private readonly tables: readonly Table[];
  private readonly grids = new Map<string, Grid>();
  private readonly choices = el("div", { class: "choice", role: "group", "aria-label": "Table" });
  private readonly stage = el("div");

  constructor(private readonly context: SectionContext) {
    const raw = context.data as RawTables;
    const strings = raw.strings.map(printable);
    this.tables = raw.tables.map((table) => decodeTable(table, strings));
    context.place.append(header("tables", "Tables", this.choices), this.stage);
    this.restore();
  }

  recolour(): void {
    // Tables have no colours of their own.
  }

  restore(): void {
    const { state } = this.context;
    const table = this.tables.find(({ id }) => id === state.get("table")) ?? this.tables[0];
    this.choices.replaceChildren(
      ...this.tables.map(({ id, title }) =>
        button(title, { "aria-pressed": String(id === table.id), "data-table": id }, () => this.choose(id)),
      ),
    );
    const grid = this.gridOf(table);
    if (this.stage.firstChild !== grid.element) this.stage.replaceChildren(grid.element);
    const [column = "", order = ""] = state.get("sort").split("~");
    grid.show({ column, ascending: order === "up", filter: state.get("filter") });
  }

  private choose(table: string): void {
    const first = table === this.tables[0].id;
    this.context.state.set({ table: first ? "" : table, sort: "", filter: "" });
    this.restore();
    this.choices.querySelector<HTMLElement>(`[data-table="${table}"]`)?.focus();
  }

  private gridOf(table: Table): Grid {
    let grid = this.grids.get(table.id);
    if (grid === undefined) {
      grid = new Grid(table, {
        changed: ({ column, ascending, filter }) =>
          this.context.state.set({
            sort: column === "" ? "" : `${column}~${ascending ? "up" : "down"}`,
            filter,
          }),
        pick: (row) => this.context.wishes.goToFrame(frameName(table, row)),
      });
      this.grids.set(table.id, grid);
    }
    return grid;
  }
}

/** What finds a row's frames: cProfile's way to write a function holds its file, too. */
export function frameName(table: Table, row: number): string {
  const of = (name: string): string =>
    String(table.columns.find((column) => column.name === name)?.values[row] ?? "");
  if (table.id === "modules") return of("class");
  if (table.id !== "functions") return of("name");
  const words = of("function");
  const inside = /^\{(?:built-in )?(.*)\}$/.exec(words) ?? /:\d+\((.*)\)$/.exec(words);
  return inside?.[1] ?? words.replace(/\.__call__$/, "");
}
