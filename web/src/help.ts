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
  ["c", "Next colouring: kind, module class, share of roofline"],
  ["m", "Merge layers"],
  ["v", "Callers of the selected frame, and back"],
  ["f", "Only stacks through the selected frame, and back"],
  ["h, H", "Hide the selected frame, show the last hidden one"],
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
