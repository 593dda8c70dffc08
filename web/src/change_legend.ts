/** What the colours of change mean. */

import { changeColour } from "./change_colour";
import type { Scheme } from "./colour";
import { el, styled } from "./dom";

const STEPS: [change: number, label: string][] = [
  [-1, "gone, or half of A"],
  [-0.4, "less"],
  [0, "noise, the same, or measured once"],
  [0.4, "more"],
  [1, "twice A, or new"],
];

export function drawChangeLegend(place: HTMLElement, scheme: Scheme): void {
  const items = STEPS.map(([change, label]) =>
    el(
      "span",
      { class: "item" },
      styled(el("i", { class: "swatch" }), "background", changeColour(change, scheme)),
      label,
    ),
  );
  place.replaceChildren(el("span", { class: "title" }, "B against A"), ...items);
}
