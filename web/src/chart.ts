/** One space's memory over time: layers, the phases below them, their high-water marks, and a cursor. */

import { layerColour, phaseColour, type Scheme } from "./colour";
import {
  bandAt,
  gridOf,
  outlines,
  placeAt,
  sumAt,
  type Band,
  type Charts,
  type Curves,
  type Range,
} from "./curves";
import { printable } from "./data";
import { el, styled } from "./dom";
import { formatBytes, formatNs } from "./format";
import { shape } from "./svg";
import type { Tooltip } from "./tooltip";

const SIZE = 1000;
const NS_PER_US = 1000;
const PAGE_STEPS = 10;
const USUAL_WIDTH = 700;
const LETTER_WIDTH = 7;
const PADDING = 12;
const SHOWN_SHARE = 0.0008;

const TITLES = { host: "Host memory", device: "Device memory" };

export class MemoryChart {
  readonly element = el("figure", { class: "chart" });
  private readonly plot = el("div", { class: "plot", tabindex: "0", role: "slider" });
  private readonly cursor = el("div", { class: "cursor", hidden: "" });
  private readonly readout = el("figcaption");
  private readonly below = el("div");
  private range: Range;
  private scheme: Scheme = "light";
  private place = -1;

  constructor(
    private readonly curves: Curves,
    private readonly charts: Charts,
    range: Range,
    private readonly tooltip: Tooltip,
  ) {
    this.range = range;
    this.plot.setAttribute("aria-label", `${TITLES[curves.space]} over time`);
    this.element.append(this.readout, this.plot, this.below);
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.leave());
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("blur", () => this.moveTo(-1));
  }

  show(range: Range, scheme: Scheme): void {
    this.range = range;
    this.scheme = scheme;
    this.place = -1;
    const lines = gridOf(this.most());
    const top = lines[lines.length - 1];
    this.plot.replaceChildren(
      this.drawing(top),
      ...this.marks(top),
      ...lines.slice(1).map((bytes) => gridLine(bytes, top)),
      this.cursor,
    );
    this.below.replaceChildren(this.strip(), this.axis());
    this.moveTo(-1);
  }

  /** The highest that is drawn: of the readings in sight, and of the marks. */
  private most(): number {
    const [first, last] = this.ends();
    let most = 0;
    for (let place = first; place <= last; place++) most = Math.max(most, sumAt(this.curves, place));
    return Math.max(most, ...this.inSight().map(({ peaks }) => peaks[this.curves.space] ?? 0));
  }

  private ends(): [number, number] {
    const { times } = this.curves;
    return [Math.max(0, placeAt(times, this.range.begin)), placeAt(times, this.range.end)];
  }

  private inSight(): Band[] {
    return this.charts.bands.filter(({ start, end }) => end > this.range.begin && start < this.range.end);
  }

  private drawing(top: number): SVGElement {
    const drawing = shape("svg");
    drawing.setAttribute("viewBox", `0 0 ${SIZE} ${SIZE}`);
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("aria-hidden", "true");
    outlines(this.curves, this.range, top, SIZE).forEach((outline, layer) => {
      const path = shape("path");
      path.setAttribute("d", outline);
      path.setAttribute("fill", layerColour(this.curves.labels[layer], this.scheme));
      drawing.append(path);
    });
    return drawing;
  }

  private x(time: number): number {
    const share = (time - this.range.begin) / (this.range.end - this.range.begin);
    return Math.min(1, Math.max(0, share)) * 100;
  }

  private marks(top: number): HTMLElement[] {
    const marks = [];
    for (const band of this.inSight()) {
      const peak = band.peaks[this.curves.space];
      if (peak === null || peak <= 0) continue;
      const mark = el("i", {
        class: "high-water",
        title: `${printable(band.name)}: peak ${formatBytes(peak)}`,
      });
      marks.push(
        across(styled(mark, "bottom", `${(peak / top) * 100}%`), this.x(band.start), this.x(band.end)),
      );
    }
    return marks;
  }

  private strip(): HTMLElement {
    const width = this.plot.clientWidth || USUAL_WIDTH;
    const strip = el("div", { class: "strip", "aria-hidden": "true" });
    for (const band of this.inSight()) {
      const [from, to] = [this.x(band.start), this.x(band.end)];
      if (to - from < SHOWN_SHARE * 100) continue;
      const name = printable(band.name);
      const part = el("span", { title: `${name}: ${formatNs((band.end - band.start) * NS_PER_US)}` });
      if (((to - from) / 100) * width >= name.length * LETTER_WIDTH + PADDING) part.append(name);
      strip.append(across(styled(part, "background", phaseColour(name, this.scheme)), from, to));
    }
    return strip;
  }

  private axis(): HTMLElement {
    const { begin, end } = this.range;
    const labels = [begin, (begin + end) / 2, end].map((time) => el("span", {}, formatNs(time * NS_PER_US)));
    return el("div", { class: "axis", "aria-hidden": "true" }, ...labels);
  }

  private point(event: PointerEvent): void {
    const { left, width } = this.plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
    const time = this.range.begin + share * (this.range.end - this.range.begin);
    this.moveTo(placeAt(this.curves.times, time), time);
    if (this.place < 0) return this.tooltip.hide();
    this.tooltip.showPairs(this.when(time), this.values(this.place), event);
  }

  private leave(): void {
    this.tooltip.hide();
    this.moveTo(-1);
  }

  private key(event: KeyboardEvent): void {
    const [first, last] = this.ends();
    const here = this.place < 0 ? first - 1 : this.place;
    const steps: Record<string, number> = {
      ArrowRight: here + 1,
      ArrowLeft: here - 1,
      PageUp: here + PAGE_STEPS,
      PageDown: here - PAGE_STEPS,
      Home: first,
      End: last,
    };
    const wanted = steps[event.key];
    if (wanted === undefined || last < first) return;
    event.preventDefault();
    event.stopPropagation();
    this.moveTo(Math.min(last, Math.max(first, wanted)));
  }

  /** To a reading, at its instant or a later one at which it still holds; -1 puts the cursor away. */
  private moveTo(place: number, time = this.curves.times[place] ?? 0): void {
    this.place = place;
    this.cursor.hidden = place < 0;
    styled(this.cursor, "left", `${this.x(time)}%`);
    const shown = place < 0 ? this.highest() : place;
    const when = place < 0 ? "highest" : this.when(time);
    this.readout.replaceChildren(
      el("b", {}, TITLES[this.curves.space]),
      ...this.values(shown).map(([label, value]) => this.item(label, value)),
      el("small", { class: "when" }, when),
    );
    const said = this.values(shown).map(([label, value]) => `${label} ${value}`);
    this.plot.setAttribute("aria-valuetext", `${when}: ${said.join(", ")}`);
    this.plot.setAttribute("aria-valuenow", String(shown));
    this.plot.setAttribute("aria-valuemin", "0");
    this.plot.setAttribute("aria-valuemax", String(this.curves.times.length - 1));
  }

  private highest(): number {
    const [first, last] = this.ends();
    let best = first;
    for (let place = first; place <= last; place++) {
      if (sumAt(this.curves, place) >= sumAt(this.curves, best)) best = place;
    }
    return best;
  }

  private values(place: number): [string, string][] {
    const { labels, layers } = this.curves;
    const found = labels.map((label, layer): [string, string] => [
      label,
      formatBytes(layers[layer][place] ?? 0),
    ]);
    return [...found.reverse(), ["together", formatBytes(sumAt(this.curves, place))]];
  }

  private item(label: string, value: string): HTMLElement {
    const item = el("span", { class: "item" });
    if (this.curves.labels.includes(label)) {
      const swatch = el("i", { class: "swatch" });
      item.append(styled(swatch, "background", layerColour(label, this.scheme)));
    }
    item.append(`${label} `, el("b", {}, value));
    return item;
  }

  private when(time: number): string {
    const band = bandAt(this.charts.bands, time);
    const requests = new Set(this.charts.bands.map(({ request }) => request)).size > 2;
    const which = band?.request != null && requests ? ` of request ${band.request + 1}` : "";
    return `${band === null ? "between phases" : printable(band.name) + which}, at ${formatNs(time * NS_PER_US)}`;
  }
}

function across<T extends HTMLElement>(element: T, from: number, to: number): T {
  return styled(styled(element, "left", `${from}%`), "width", `${to - from}%`);
}

function gridLine(bytes: number, top: number): HTMLElement {
  const line = el("div", { class: "grid", "aria-hidden": "true" }, el("span", {}, formatBytes(bytes)));
  return styled(line, "bottom", `${(bytes / top) * 100}%`);
}
