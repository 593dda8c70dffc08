/** The page's part about memory: over time, at its peak, from step to step. */

import { MemoryChart } from "./chart";
import type { Scheme } from "./colour";
import { rangesOf, type Range } from "./curves";
import { printable, type Memory } from "./data";
import { button, el } from "./dom";
import type { Facts } from "./facts";
import { growthSentences } from "./growth";
import { drawPeak, drawPredictions, drawTable, peaksOf } from "./holders";
import { formatBytes } from "./format";
import type { Tooltip } from "./tooltip";

/** A category with less is not worth words when memory has run out. */
const MOST_FAILURE_PARTS = 3;

export class MemoryView {
  private readonly charts: MemoryChart[];
  private readonly ranges: Range[];
  private readonly choices: HTMLButtonElement[];
  private readonly peaks = el("div", { class: "peaks" });
  private readonly more = el("div");
  private range: Range;
  private scheme: Scheme = "light";

  /** `open` shows the flame graph of a peak, by the metric's name. */
  constructor(
    place: HTMLElement,
    private readonly memory: Memory | null,
    tooltip: Tooltip,
    private readonly open: (metric: string) => void,
  ) {
    const charts = memory?.charts ?? { curves: [], bands: [] };
    this.ranges = rangesOf(charts);
    [this.range] = this.ranges;
    this.charts = charts.curves.map((curves) => new MemoryChart(curves, charts, this.range, tooltip));
    this.choices = this.ranges.map((range) => button(range.label, {}, () => this.look(range)));
    place.hidden = memory === null || (this.charts.length === 0 && !said(memory.facts));
    if (memory === null || place.hidden) return;
    const ranges = el("div", { class: "choice", role: "group", "aria-label": "Time shown" }, ...this.choices);
    ranges.hidden = this.choices.length < 2 || this.charts.length === 0;
    const words = growthSentences(memory.facts).map((sentence) => el("p", {}, sentence));
    const notes = memory.facts
      .at("notes")
      .list.map((note) => el("p", { class: "remark" }, printable(note.text ?? "")));
    const curves = el(
      "div",
      { class: "curves" },
      ...this.charts.map(({ element }) => element),
      ...words,
      ...notes,
    );
    const parts = [
      el("header", {}, el("h2", { id: "memory-title" }, "Memory"), ranges),
      failure(memory.facts),
      el("div", { class: "halves" }, curves, this.peaks),
      this.more,
    ];
    place.replaceChildren(...parts.filter((part) => part !== null));
  }

  recolour(scheme: Scheme): void {
    const { memory } = this;
    if (memory === null) return;
    this.scheme = scheme;
    this.look(this.range);
    const open = [...this.more.querySelectorAll("details")].map((item) => item.open);
    const shown = [...this.peaks.querySelectorAll("details")].map((item) => item.open);
    this.peaks.replaceChildren(...memory.facts.at("peaks").list.map((peak) => this.peak(peak)));
    const parts = [
      drawTable(peaksOf(memory.facts.at("phases").list), scheme),
      drawPredictions(memory.facts.at("predictions").list, scheme),
    ];
    this.more.replaceChildren(...parts.filter((part) => part !== null));
    this.more.querySelectorAll("details").forEach((item, at) => (item.open = open[at] ?? false));
    this.peaks.querySelectorAll("details").forEach((item, at) => (item.open = shown[at] ?? false));
  }

  private look(range: Range): void {
    this.range = range;
    this.choices.forEach((choice, at) =>
      choice.setAttribute("aria-pressed", String(this.ranges[at] === range)),
    );
    for (const chart of this.charts) chart.show(range, this.scheme);
  }

  private peak(facts: Facts): HTMLElement {
    const name = facts.at("space").text === "device" ? "device_held_bytes" : "held_bytes";
    const metric = `${name}@${facts.at("phase").text ?? ""}`;
    const known = (this.memory?.held?.metric(metric) ?? -1) >= 0;
    return drawPeak(facts, this.scheme, known ? () => this.open(metric) : null);
  }
}

function said(facts: Facts): boolean {
  const lists = ["peaks", "predictions", "growth"].some((name) => facts.at(name).list.length > 0);
  return lists || facts.at("failure", "phase").text !== null;
}

function failure(facts: Facts): HTMLElement | null {
  const phase = facts.at("failure", "phase").text;
  if (phase === null) return null;
  const step = facts.at("failure", "step").text;
  const held = facts.at("failure", "held").entries.flatMap(([space, list]) => {
    const sums = new Map<string, number>();
    for (const row of list.list) {
      const category = printable(row.at("category").text ?? "other");
      sums.set(category, (sums.get(category) ?? 0) + (row.at("bytes").number ?? 0));
    }
    const parts = [...sums].sort((a, b) => b[1] - a[1]).slice(0, MOST_FAILURE_PARTS);
    const words = parts.map(([category, bytes]) => `${category} ${formatBytes(bytes)}`).join(", ");
    return words === "" ? [] : [`the ${printable(space)} held ${words}`];
  });
  const where = `${printable(phase)}${step === null ? "" : `, step ${printable(step)}`}`;
  const who = held.length === 0 ? "" : `: ${held.join("; ")}`;
  return el("p", { class: "failure", role: "alert" }, `Memory ran out in ${where}${who}.`);
}
