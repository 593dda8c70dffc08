/** What the tree is looked through, in words, and the ways to add to it and to take it away. */

import { button, el } from "./dom";
import { clip } from "./format";
import { linesOf, meaning } from "./pattern";
import type { ViewState } from "./state";
import type { CallTree } from "./tree";

type Change = (change: Partial<ViewState>) => void;

const LABEL = 60;

/** Two fields: a pattern that is entered is looked through at once, and stands among the chips from then on. */
export function lensFields(state: () => ViewState, change: Change): HTMLElement {
  return el(
    "div",
    { class: "lens-fields" },
    field("focus", "Only stacks through", (text) => change({ focus: text })),
    field("hide", "Hide frames", (text) => change({ hide: withLine(state().hide, text) })),
  );
}

/** A further line of patterns; one that is there already does not come again. */
export function withLine(text: string, line: string): string {
  return [...linesOf(text).filter((other) => other !== line), line].join("\n");
}

function field(id: string, label: string, enter: (text: string) => void): HTMLElement {
  const input = el("input", {
    id,
    type: "text",
    placeholder: label,
    title: `${label}: part of a name, a module path or a file, or /a regular expression/; then Enter`,
    "aria-label": label,
    autocomplete: "off",
    spellcheck: "false",
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (input.value !== "") enter(input.value);
    input.value = "";
  });
  return input;
}

export function drawLenses(
  place: HTMLElement,
  tree: CallTree,
  state: ViewState,
  trouble: string,
  change: Change,
): void {
  const name = (line: string): string => clip(meaning(tree.frames, line), LABEL);
  const chips: HTMLElement[] = [];
  if (state.callers !== "")
    chips.push(chip("Callers of", name(state.callers), () => change({ callers: "" })));
  for (const line of linesOf(state.focus))
    chips.push(chip("Only stacks through", name(line), () => change({ focus: without(state.focus, line) })));
  for (const line of linesOf(state.hide))
    chips.push(chip("Hidden", name(line), () => change({ hide: without(state.hide, line) })));
  if (trouble !== "") chips.push(el("span", { class: "trouble", role: "status" }, trouble));
  place.hidden = chips.length === 0;
  place.replaceChildren(...chips);
}

function without(text: string, line: string): string {
  return linesOf(text)
    .filter((other) => other !== line)
    .join("\n");
}

function chip(label: string, name: string, remove: () => void): HTMLElement {
  const words = `${label} ${name}`;
  const away = button("\u00d7", { "aria-label": `Remove: ${words}`, title: "Remove" }, remove);
  return el("span", { class: "chip" }, el("i", {}, label), el("b", { title: name }, name), away);
}
