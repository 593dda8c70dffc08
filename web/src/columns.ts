/** Tables as the page carries them: by column, texts once. Pure. */

import { printable } from "./data";

export type Value = string | number | boolean | null;

export interface RawTable {
  id: string;
  title: string;
  columns: { name: string; unit: string; label: string; shown: boolean; values: Value[] }[];
  count: number;
  left_out: number;
  notes: string[];
}

export interface Column {
  readonly name: string;
  readonly unit: string;
  readonly label: string;
  /** Whether there is room for it on a screen; copied text has all columns. */
  readonly shown: boolean;
  readonly values: readonly Value[];
}

export interface Table {
  readonly id: string;
  readonly title: string;
  readonly columns: readonly Column[];
  readonly count: number;
  readonly leftOut: number;
  readonly notes: readonly string[];
}

/** Values from their differences. */
export function summed(differences: readonly number[]): Float64Array {
  const values = new Float64Array(differences.length);
  let value = 0;
  for (let at = 0; at < values.length; at++) values[at] = value += differences[at];
  return values;
}

export function decodeTable(raw: RawTable, strings: readonly string[]): Table {
  const columns = raw.columns.map(({ name, unit, label, shown, values }): Column => {
    const known = unit === "text" ? values.map((at) => textAt(strings, at)) : values;
    const any = known.some((value) => value !== null);
    return { name, unit, label, shown: any && (shown || unit !== "text"), values: known };
  });
  const { id, title, count, left_out: leftOut, notes } = raw;
  return { id, title, columns, count, leftOut, notes: notes.map(printable) };
}

function textAt(strings: readonly string[], at: Value): string | null {
  return typeof at === "number" && at >= 0 ? strings[at] : null;
}

/** One column of a table, as numbers; null where it has none of that name. */
export function numbers(table: Table, name: string): readonly (number | null)[] | null {
  const column = table.columns.find((candidate) => candidate.name === name);
  return column?.values.map((value) => (typeof value === "number" ? value : null)) ?? null;
}

/** Places of rows: those whose texts hold the filter's, in order of a column; what is unknown comes last. */
export function rowsOf(table: Table, filter: string, column: string, ascending: boolean): number[] {
  const wanted = filter.trim().toLowerCase();
  const texts = table.columns.filter(({ unit }) => unit === "text");
  const rows = [];
  for (let row = 0; row < table.count; row++) {
    const hit = texts.some(({ values }) =>
      String(values[row] ?? "")
        .toLowerCase()
        .includes(wanted),
    );
    if (wanted === "" || hit) rows.push(row);
  }
  const by = table.columns.find(({ name }) => name === column);
  if (by === undefined) return rows;
  const sign = ascending ? 1 : -1;
  return rows.sort((a, b) => compare(by.values[a], by.values[b], sign) || a - b);
}

function compare(a: Value, b: Value, sign: number): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return a < b ? -sign : a > b ? sign : 0;
}

/** Rows as lines with tabs between all columns, in base units; a spreadsheet takes no cell for a formula. */
export function asText(table: Table, rows: readonly number[]): string {
  const cell = (value: Value): string => {
    if (typeof value !== "string") return value === null ? "" : String(value);
    const flat = value.replace(/[\t\r\n]/g, " ");
    return /^[=+\-@]/.test(flat) ? `'${flat}` : flat;
  };
  const head = table.columns.map(({ name }) => name).join("\t");
  const lines = rows.map((row) => table.columns.map(({ values }) => cell(values[row])).join("\t"));
  return [head, ...lines, ""].join("\n");
}

/** Amounts start with the largest, texts and indices with the first. */
export function startsAscending(unit: string): boolean {
  return unit === "text" || unit === "index";
}
