/** The note beside the pointer. */

import { el } from "./dom";
import { clip, formatCount, formatShare, formatValue } from "./format";
import { wholeOf } from "./metrics";
import type { CallTree } from "./tree";

export class Tooltip {
  constructor(private readonly place: HTMLElement) {}

  hide(): void {
    this.place.hidden = true;
  }

  showNode(tree: CallTree, node: number, metric: number, zoom: number, event: PointerEvent): void {
    const frame = tree.frame(node);
    const total = tree.total(metric);
    const unit = tree.metrics[metric].unit;
    const own = tree.self(metric)[node];
    const place =
      frame.module ??
      (frame.file === null ? "" : `${frame.file}${frame.line === null ? "" : `:${frame.line}`}`);
    const shares = [`${formatShare(total[node] / total[0])} of ${wholeOf(tree, metric)}`];
    if (zoom > 0 && tree.contains(zoom, node) && node !== zoom) {
      shares.unshift(`${formatShare(total[node] / total[zoom])} of ${clip(tree.frame(zoom).name, 24)}`);
    }
    this.fill(event, [
      el("b", {}, clip(frame.name, 160)),
      place === "" ? null : el("span", { class: "place" }, clip(place, 120)),
      el("span", {}, el("strong", {}, formatValue(total[node], unit)), ` ${shares.join(", ")}`),
      own > 0 && own !== total[node] ? el("span", {}, `self ${formatValue(own, unit)}`) : null,
    ]);
  }

  /** A heading, and pairs of words and values. */
  showPairs(heading: string, pairs: readonly (readonly [string, string])[], event: PointerEvent): void {
    const lines = pairs.map(([words, value]) => el("span", {}, el("strong", {}, value), ` ${words}`));
    this.fill(event, [el("b", {}, heading), ...lines]);
  }

  showHidden(count: number, event: PointerEvent): void {
    this.fill(event, [el("span", {}, `${formatCount(count)} frames too narrow to draw; zoom to see them`)]);
  }

  private fill(event: PointerEvent, lines: (HTMLElement | null)[]): void {
    this.place.replaceChildren(...lines.filter((line) => line !== null));
    this.place.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.place;
    const left =
      event.clientX + 14 + width > innerWidth - 8 ? event.clientX - width - 10 : event.clientX + 14;
    const top =
      event.clientY + 18 + height > innerHeight - 8 ? event.clientY - height - 10 : event.clientY + 18;
    this.place.style.left = `${Math.max(8, left)}px`;
    this.place.style.top = `${Math.max(8, top)}px`;
  }
}
