/** What the colours mean, with the part of the zoomed frame that each holds by itself. */

import type { Colouring } from "./colouring";
import { el, styled } from "./dom";
import { formatShare } from "./format";
import type { CallTree } from "./tree";

const MOST = 10;

export function selfShares(
  tree: CallTree,
  root: number,
  metric: number,
  nameOf: (node: number) => string,
): [string, number][] {
  const own = tree.self(metric);
  const whole = tree.total(metric)[root];
  const sums = new Map<string, number>();
  for (let node = root; node < tree.end[root]; node++) {
    if (!(own[node] > 0)) continue;
    const name = nameOf(node);
    sums.set(name, (sums.get(name) ?? 0) + own[node]);
  }
  return [...sums].map(([name, sum]): [string, number] => [name, sum / whole]).sort((a, b) => b[1] - a[1]);
}

export function drawLegend(
  place: HTMLElement,
  tree: CallTree,
  root: number,
  metric: number,
  colouring: Colouring,
): void {
  const shares = selfShares(tree, root, metric, (node) => colouring.group(node));
  const { order } = colouring;
  if (order !== undefined) {
    const have = new Map(shares);
    shares.splice(0, shares.length, ...order.map((name): [string, number] => [name, have.get(name) ?? 0]));
  }
  const items = shares.slice(0, MOST).map(([name, share]) => {
    const { colour, label } = colouring.entry(name);
    return el(
      "span",
      { class: "item" },
      styled(el("i", { class: "swatch" }), "background", colour),
      label,
      el("small", {}, formatShare(share)),
    );
  });
  if (shares.length > MOST)
    items.push(el("span", { class: "item" }, el("small", {}, `and ${shares.length - MOST} more`)));
  place.replaceChildren(el("span", { class: "title" }, colouring.title), ...items);
}
