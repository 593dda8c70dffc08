/** Of two runs: what their kernels wait for, by phase and group. */

import { CompareTable, type CompareColumn } from "../compare_table";
import { printable } from "../data";
import { el } from "../dom";
import type { Facts } from "../facts";
import { clip, formatNs, formatShare, NONE } from "../format";

/** Null where neither run has stalls. */
export function stallChanges(compared: Facts): HTMLElement | null {
  const stalls = compared.at("stalls");
  const missing = stalls.at("missing").text;
  const rows = stalls.at("groups").list;
  if (missing === null && rows.length === 0) return null;
  const title = el("h3", {}, "Why kernels wait, by GPU time");
  if (missing !== null) {
    const other = missing === "a" ? "B" : "A";
    return el("div", {}, title, el("p", { class: "muted" }, `Only ${other} has stalls.`));
  }
  const time = (row: Facts, side: string): number => row.at(`${side}_ns`).number ?? 0;
  const share = (row: Facts, side: string): string => {
    const { number } = row.at(`${side}_share`);
    return number === null ? NONE : formatShare(number);
  };
  const columns: CompareColumn<Facts>[] = [
    { label: "Phase", key: (row) => row.at("phase").text, cell: (row) => named(row, "phase"), kind: "name" },
    { label: "Group", key: (row) => row.at("group").text, cell: (row) => named(row, "group"), kind: "name" },
    { label: "A", key: (row) => time(row, "a"), cell: (row) => formatNs(time(row, "a")) },
    { label: "B", key: (row) => time(row, "b"), cell: (row) => formatNs(time(row, "b")) },
    { label: "Change", key: (row) => time(row, "b") - time(row, "a"), cell: (row) => changed(row, time) },
    { label: "Share of A", key: (row) => row.at("a_share").number, cell: (row) => share(row, "a") },
    { label: "Share of B", key: (row) => row.at("b_share").number, cell: (row) => share(row, "b") },
  ];
  const { element } = new CompareTable("Why kernels wait in both runs", columns, rows, rows.length);
  return el("div", {}, title, element);
}

function named(row: Facts, name: string): string {
  return clip(printable(row.at(name).text ?? NONE), 40);
}

function changed(row: Facts, time: (row: Facts, side: string) => number): string {
  const change = time(row, "b") - time(row, "a");
  return `${change > 0 ? "+" : change < 0 ? "−" : ""}${formatNs(Math.abs(change))}`;
}
