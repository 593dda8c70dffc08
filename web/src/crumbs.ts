/** The way from the run down to the zoomed frame. */

import { button, el } from "./dom";
import { clip } from "./format";
import type { CallTree } from "./tree";

const HEAD = 2;
const TAIL = 3;

export function drawCrumbs(
  place: HTMLElement,
  tree: CallTree,
  zoom: number,
  go: (node: number) => void,
  open = false,
): void {
  const path = tree.path(zoom);
  const long = path.length > HEAD + TAIL + 1 && !open;
  const shown = long ? [...path.slice(0, HEAD), -1, ...path.slice(-TAIL)] : path;
  const parts: HTMLElement[] = [];
  for (const node of shown) {
    if (parts.length > 0) parts.push(el("i", { "aria-hidden": "true" }, "›"));
    if (node < 0) {
      const count = path.length - HEAD - TAIL;
      const more = button("…", { title: `${count} more` }, () => drawCrumbs(place, tree, zoom, go, true));
      more.setAttribute("aria-label", `Show ${count} more`);
      parts.push(more);
      continue;
    }
    const crumb = button(crumbText(tree, node), {}, () => go(node));
    if (node === zoom) crumb.setAttribute("aria-current", "true");
    parts.push(crumb);
  }
  if (zoom > 0) {
    parts.push(button("Reset zoom", { class: "quiet reset", title: "Esc" }, () => go(0)));
  }
  place.replaceChildren(...parts);
}

function crumbText(tree: CallTree, node: number): string {
  const frame = tree.frame(node);
  if (frame.kind === "module" && frame.module !== null)
    return clip(frame.module.split(".").slice(-2).join("."), 32);
  return clip(frame.name, 32);
}
