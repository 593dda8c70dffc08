/** What the colours mean, with the part of the zoomed frame that each holds by itself. */

import {
  categories,
  categoryColour,
  ClassColours,
  kindColour,
  KIND_NAMES,
  owners,
  type Scheme,
} from "./colour";
import { el, styled } from "./dom";
import { clip, formatShare } from "./format";
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
    if (own[node] > 0) sums.set(nameOf(node), (sums.get(nameOf(node)) ?? 0) + own[node]);
  }
  return [...sums].map(([name, sum]): [string, number] => [name, sum / whole]).sort((a, b) => b[1] - a[1]);
}

export function drawLegend(
  place: HTMLElement,
  tree: CallTree,
  root: number,
  metric: number,
  by: "kind" | "class",
  scheme: Scheme,
): void {
  const byCategory = tree.held && by === "kind";
  const owner = by === "class" ? owners(tree) : byCategory ? categories(tree) : [];
  const outside = "outside modules";
  const classes = new ClassColours(tree, scheme);
  const shares = selfShares(tree, root, metric, (node) =>
    by === "class" || byCategory ? (owner[node] ?? outside) : tree.frame(node).kind,
  );
  const items = shares.slice(0, MOST).map(([name, share]) => {
    const colour = byCategory
      ? categoryColour(name, scheme)
      : by === "class"
        ? classes.of(name === outside ? null : name)
        : kindColour(name, scheme);
    const label = by === "class" || byCategory ? clip(name, 32) : (KIND_NAMES[name] ?? clip(name, 32));
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
  place.replaceChildren(el("span", { class: "title" }, "Self share"), ...items);
}
