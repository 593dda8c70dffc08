/** The page's part about another run: what differs, what that changed, and how sure it is. */

import { BEFORE, LARGER } from "./change_colour";
import { CompareTable, type CompareColumn } from "./compare_table";
import { printable } from "./data";
import { button, el } from "./dom";
import type { Facts } from "./facts";
import { clip, digits, formatBytes, formatCount, formatNs, formatValue, NONE, shortFile } from "./format";
import { stallChanges } from "./stalls/changes";

const ROWS = 12;
const MOST_DIFFERENCES = 40;

export interface CompareEvents {
  /** The flame graph in the colours of change, with one run's numbers as widths. */
  look(suffix: string): void;
  /** A frame by its phase and name. */
  find(phase: string, name: string): void;
}

export class CompareView {
  constructor(place: HTMLElement, compared: Facts | null, events: CompareEvents) {
    place.hidden = compared === null;
    if (compared === null) return;
    const parts = [
      el("header", {}, el("h2", { id: "compare-title" }, "Compared with another run"), widths(events)),
      runs(compared),
      forced(compared),
      differs(compared),
      figures(compared),
      findings(compared),
      block("Called more or less often", compared.at("calls").list, callColumns(events)),
      stallChanges(compared),
      block("Wall time by module, each without those below it", changed(compared.at("modules")), [
        ...changeColumns(),
        { label: "Module", key: moduleOf, cell: moduleCell, kind: "name wide" },
      ]),
      block("Wall time by frame, each without those below it", changed(compared.at("frames")), [
        ...changeColumns(),
        frameColumn(events),
      ]),
      amounts(compared),
      el("p", { class: "remark" }, meaning(compared)),
    ];
    place.replaceChildren(...parts.filter((part) => part !== null));
  }
}

function widths(events: CompareEvents): HTMLElement {
  const choices: [string, string, string][] = [
    ["", "B", "As wide as they are in B"],
    [BEFORE, "A", "As wide as they were in A"],
    [LARGER, "Larger of both", "Frames of either run can be seen"],
  ];
  return el(
    "div",
    { class: "choice", role: "group", "aria-label": "Flame graph of change, widths of" },
    ...choices.map(([suffix, label, title]) =>
      button(`Flame graph: ${label}`, { title }, () => events.look(suffix)),
    ),
  );
}

function words(facts: Facts, length = 120): string {
  return clip(printable(facts.text ?? "unknown"), length);
}

function runs(compared: Facts): HTMLElement {
  const list = el("dl", { class: "runs" });
  for (const side of ["a", "b"]) {
    const run = compared.at(side);
    const status = run.at("status").text ?? "unknown";
    const ended = status === "complete" ? "" : `, ${printable(status)}: ${words(run.at("reason"), 300)}`;
    const name = side === "a" ? "A, before" : "B, this page";
    const started = words(run.at("started_at"), 40);
    list.append(el("dt", {}, name), el("dd", {}, `${words(run.at("file"))}, ${started}${ended}`));
  }
  return list;
}

function forced(compared: Facts): HTMLElement | null {
  const reason = compared.at("forced").text;
  if (reason === null) return null;
  const text = `They differ in their ${clip(printable(reason), 400)}.`;
  return el("p", { class: "unlike", role: "alert" }, el("strong", {}, "Not alike. "), text);
}

function differs(compared: Facts): HTMLElement {
  const rows = compared.at("differs").list;
  if (rows.length === 0) return el("p", {}, "The runs differ in nothing that was recorded of them.");
  const items = rows.slice(0, MOST_DIFFERENCES).map((row) => {
    const name = words(row.at("name"), 60);
    const [a, b] = ["a", "b"].map((side) => property(name, row.at(side)));
    return el("li", {}, `${name} `, el("b", {}, `${a} → ${b}`));
  });
  const rest = rows.length - items.length;
  if (rest > 0) items.push(el("li", {}, `and ${rest} more`));
  return el("ul", { class: "differs", "aria-label": "What differs between the runs" }, ...items);
}

function property(name: string, value: Facts): string {
  const { number } = value;
  if (number === null) return value.text === null ? NONE : words(value, 80);
  return name.endsWith("bytes") ? formatBytes(number) : formatCount(number);
}

const TONES: Record<string, string> = { faster: "good", less: "good", slower: "bad", more: "bad" };

function verdict(row: Facts): HTMLElement {
  const word = row.at("verdict").text ?? "unknown";
  return el("span", { class: `word ${TONES[word] ?? "quiet-word"}` }, printable(word));
}

/** A ratio as a change; what doubled is told as a factor. */
export function asChange(ratio: number | null): string {
  if (ratio === null) return NONE;
  if (ratio >= 1000) return "×>1000";
  if (ratio >= 2) return `×${digits(ratio)}`;
  const percent = (ratio - 1) * 100;
  return `${percent > 0 ? "+" : ""}${percent.toFixed(1)}\u202f%`;
}

function figure(value: number | null, unit: string | null): string {
  if (value === null) return NONE;
  return unit === "ns" ? formatNs(value) : `${digits(value)}\u202ftok/s`;
}

function figures(compared: Facts): HTMLElement {
  const rows = [...compared.at("figures").list, ...compared.at("phases").list];
  const columns: CompareColumn<Facts>[] = [
    {
      label: "Figure",
      key: (row) => row.at("label").text,
      cell: (row) => words(row.at("label"), 30),
      kind: "name",
    },
    ...["a", "b"].map((side): CompareColumn<Facts> => ({
      label: side.toUpperCase(),
      key: (row) => row.at(side).number,
      cell: (row) => figure(row.at(side).number, row.at("unit").text),
    })),
    {
      label: "Change",
      key: (row) => row.at("ratio").number,
      cell: (row) => asChange(row.at("ratio").number),
    },
    { label: "95 % interval", key: (row) => row.at("low").number, cell: interval },
    { label: "Verdict", key: (row) => row.at("verdict").text, cell: verdict, kind: "name" },
    {
      label: "Repetitions",
      key: (row) => row.at("repetitions_b").number,
      cell: (row) => `${words(row.at("repetitions_a"), 9)} and ${words(row.at("repetitions_b"), 9)}`,
    },
  ];
  return new CompareTable("Figures of both runs", columns, rows, rows.length).element;
}

function interval(row: Facts): string {
  const [low, high] = [row.at("low").number, row.at("high").number];
  return low === null ? NONE : `${asChange(low)} to ${asChange(high)}`;
}

function findings(compared: Facts): HTMLElement | null {
  const rows = compared.at("findings").list;
  if (rows.length === 0) return null;
  const items = rows.map((row) => {
    const only = row.at("only").text === "b" ? "only B" : "only A";
    return el("li", {}, words(row.at("title"), 200), el("small", {}, ` ${only}`));
  });
  return el("div", {}, el("h3", {}, "Findings of one run only"), el("ul", { class: "only" }, ...items));
}

function block(title: string, rows: Facts[], columns: CompareColumn<Facts>[]): HTMLElement | null {
  if (rows.length === 0) return null;
  return el("div", {}, el("h3", {}, title), new CompareTable(title, columns, rows, ROWS).element);
}

/** Without what is the same in both runs. */
function changed(rows: Facts): Facts[] {
  return rows.list.filter((row) => row.at("a").number !== row.at("b").number);
}

function callColumns(events: CompareEvents): CompareColumn<Facts>[] {
  const count = (side: string): CompareColumn<Facts> => ({
    label: side.toUpperCase(),
    key: (row) => row.at(side).number,
    cell: (row) => `${row.at(side).show(formatCount)} ×`,
  });
  const time = (row: Facts): number | null => row.at("time_ns").number;
  return [
    count("a"),
    count("b"),
    { label: "Time with it", key: time, cell: (row) => row.at("time_ns").show(formatNs) },
    frameColumn(events),
  ];
}

function changeColumns(): CompareColumn<Facts>[] {
  const change = (row: Facts): number => (row.at("b").number ?? 0) - (row.at("a").number ?? 0);
  const sided = (value: number): string => (value > 0 ? "+" : "") + formatValue(value, "ns");
  return [
    { label: "Change", key: change, cell: (row) => sided(change(row)), kind: "strong" },
    { label: "A", key: (row) => row.at("a").number, cell: (row) => row.at("a").show(formatNs) },
    { label: "B", key: (row) => row.at("b").number, cell: (row) => row.at("b").show(formatNs) },
    { label: "Verdict", key: (row) => row.at("verdict").text, cell: verdict, kind: "name" },
  ];
}

function frameColumn(events: CompareEvents): CompareColumn<Facts> {
  return {
    label: "Frame",
    key: (row) => row.at("name").text,
    kind: "name wide",
    cell: (row) => {
      const [phase, name] = [row.at("phase").text ?? "", row.at("name").text ?? ""];
      const only = row.at("only").text;
      const find = button(words(row.at("name"), 160), { class: "link" }, () => events.find(phase, name));
      const side = only === null ? "" : only === "b" ? "only B" : "only A";
      return el(
        "div",
        {},
        el("small", {}, `${printable(phase)} `),
        find,
        side === "" ? null : el("em", {}, ` ${side}`),
        el("small", {}, ` ${whereIs(row)}`),
      );
    },
  };
}

function whereIs(row: Facts): string {
  const { text: module } = row.at("module");
  const count = row.at("modules").number ?? 0;
  const { text: file } = row.at("file");
  const line = row.at("line").number;
  const at = file === null ? "" : shortFile(printable(file)) + (line === null ? "" : `:${line}`);
  const owner = module === null ? "" : printable(module) + (count > 1 ? ` × ${count}` : "");
  return clip([owner, at].filter((part) => part !== "").join("  "), 160);
}

function moduleOf(row: Facts): string | null {
  return row.at("module").text ?? row.at("name").text;
}

function moduleCell(row: Facts): HTMLElement {
  const module = row.at("module").text;
  const name = module === null ? "" : words(row.at("name"), 60);
  const count = row.at("modules").number ?? 0;
  return el(
    "div",
    {},
    el("small", {}, `${words(row.at("phase"), 30)} `),
    clip(printable(moduleOf(row) ?? ""), 160),
    el("small", {}, `${count > 1 ? ` × ${count}` : ""} ${name}`),
  );
}

/** Times of each kind, peaks and counts by phase: those that are not the same. */
function amounts(compared: Facts): HTMLElement | null {
  const quiet = new Set(["same", "noise", "unknown"]);
  const all = ["times", "peaks", "counts"].flatMap((name) => compared.at(name).list);
  const missing = (row: Facts): boolean => row.at("a").number === null || row.at("b").number === null;
  const rows = all.filter((row) => missing(row) || !quiet.has(row.at("verdict").text ?? ""));
  const value = (side: string): CompareColumn<Facts> => ({
    label: side.toUpperCase(),
    key: (row) => row.at(side).number,
    cell: (row) => row.at(side).show((number) => formatValue(number, row.at("unit").text ?? "")),
  });
  return block("Times, peaks and counts that changed", rows, [
    {
      label: "Phase",
      key: (row) => row.at("phase").text,
      cell: (row) => words(row.at("phase"), 30),
      kind: "name",
    },
    {
      label: "Of",
      key: (row) => row.at("label").text,
      cell: (row) => words(row.at("label"), 60),
      kind: "name",
    },
    value("a"),
    value("b"),
    { label: "Verdict", key: (row) => row.at("verdict").text, cell: verdict, kind: "name" },
  ]);
}

function meaning(compared: Facts): string {
  const allowed = (compared.at("between_recordings").number ?? 0) * 100;
  return (
    "Intervals are of the ratio B / A, from the repetitions of both runs, and " +
    `${allowed.toFixed(1)}\u202f% wider for what two recordings of the same thing differ by. Noise: no more ` +
    "than the frame's phase may be off. Unknown: measured once."
  );
}
