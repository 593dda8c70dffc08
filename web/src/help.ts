/** What the keys do. */

import { button, el } from "./dom";

const KEYS: [string, string][] = [
  ["↑ ↓", "Parent and child (child and parent when flames rise)"],
  ["← →", "Previous and next sibling"],
  ["Enter", "Zoom to the selected frame"],
  ["Backspace", "Zoom out to the parent"],
  ["Esc", "Whole run"],
  ["/", "Search"],
  ["n, N", "Next and previous match, the heaviest first"],
  ["o", "Call order or heaviest first"],
  ["i", "Icicle or flame"],
  ["c", "Colour by kind or by module class"],
  ["m", "Merge layers"],
  ["t", "Light or dark"],
  ["Ctrl + wheel", "Stretch"],
  ["Drag", "Move"],
];

export function drawHelp(dialog: HTMLDialogElement): void {
  const list = el("dl");
  for (const [keys, effect] of KEYS) list.append(el("dt", {}, el("kbd", {}, keys)), el("dd", {}, effect));
  dialog.setAttribute("aria-label", "Keys and gestures");
  dialog.replaceChildren(
    el("h2", {}, "Keys and gestures"),
    list,
    button("Close", {}, () => dialog.close()),
  );
}
