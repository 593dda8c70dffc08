/** The controls of the flame graph: they show a state and ask for another; they hold none. */

import { modeOf, type ColourMode } from "./colouring";
import { button, byId, el } from "./dom";
import { lensFields } from "./lenses";
import { grouped } from "./metrics";
import type { PartChoice } from "./part";
import { START, type ViewState } from "./state";
import type { CallTree, Metric } from "./tree";

export interface ToolbarEvents {
  change(change: Partial<ViewState>): void;
  /** The next (1) or previous (-1) match. */
  walk(by: 1 | -1): void;
  leaveSearch(): void;
}

interface Choice {
  value: string;
  element: HTMLButtonElement;
}

export class Toolbar {
  readonly search: HTMLInputElement;
  private readonly metric: HTMLSelectElement;
  private readonly choices = new Map<"order" | "shape", Choice[]>();
  private readonly colour: HTMLSelectElement;
  private readonly merge: HTMLButtonElement;
  private readonly regex: HTMLButtonElement;
  private readonly found: HTMLOutputElement;
  private readonly walkers: HTMLButtonElement[];
  private state = START;
  private tree: CallTree | null = null;

  constructor(
    place: HTMLElement,
    metrics: readonly Metric[],
    private readonly modes: readonly ColourMode[],
    part: PartChoice,
    private readonly events: ToolbarEvents,
  ) {
    this.metric = el(
      "select",
      { id: "metric", title: "What the widths mean" },
      ...grouped(metrics).map(([label, members]) =>
        el("optgroup", { label }, ...members.map(({ name, label }) => el("option", { value: name }, label))),
      ),
    );
    this.metric.addEventListener("change", () => events.change({ metric: this.metric.value }));
    this.colour = el(
      "select",
      { id: "colour", title: "What the colours mean (c)" },
      ...modes.map(({ name, label }) => el("option", { value: name }, label)),
    );
    this.colour.addEventListener("change", () => events.change({ colour: this.colour.value }));
    this.merge = button(
      "Merge layers",
      {
        title: "All instances of a module class in the same place as one: sixteen MLPs become one (m)",
        "aria-pressed": "false",
      },
      () => events.change({ merge: this.merge.getAttribute("aria-pressed") !== "true" }),
    );
    this.search = el("input", {
      id: "search",
      type: "search",
      placeholder: "Search frames  ( / )",
      "aria-label": "Search frames",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.regex = button(
      ".*",
      { title: "Regular expression", "aria-label": "Regular expression", "aria-pressed": "false" },
      () => events.change({ regex: this.regex.getAttribute("aria-pressed") !== "true" }),
    );
    this.found = byId<HTMLOutputElement>("found");
    this.walkers = [
      button("‹", { title: "Previous match (N)", "aria-label": "Previous match" }, () => events.walk(-1)),
      button("›", { title: "Next match (n)", "aria-label": "Next match" }, () => events.walk(1)),
    ];
    place.append(
      el("label", { class: "field" }, el("span", {}, "Width"), this.metric),
      part.element,
      this.group("order", "Order", [
        ["call", "Call order"],
        ["heavy", "Heaviest"],
      ]),
      this.group("shape", "Shape", [
        ["icicle", "Icicle"],
        ["flame", "Flame"],
      ]),
      el("label", { class: "field" }, el("span", {}, "Colour"), this.colour),
      this.merge,
      el("div", { class: "search" }, this.search, this.regex, ...this.walkers),
      lensFields(
        () => this.state,
        (change) => events.change(change),
      ),
    );
    this.listen();
  }

  show(state: ViewState, tree: CallTree, found: string): void {
    const before = this.state;
    this.state = state;
    if (state !== before || tree !== this.tree) this.showState(state, tree);
    this.say(found);
  }

  say(found: string): void {
    if (this.found.textContent !== found) this.found.textContent = found;
  }

  private showState(state: ViewState, tree: CallTree): void {
    this.tree = tree;
    choose(this.metric, state.metric);
    choose(this.colour, modeOf(state.colour, tree, this.modes).name);
    for (const option of this.colour.options)
      option.disabled = this.modes.find(({ name }) => name === option.value)?.offered(tree) !== true;
    for (const [name, choices] of this.choices) {
      for (const { value, element } of choices) press(element, value === state[name]);
    }
    press(this.merge, state.merge);
    press(this.regex, state.regex);
    if (this.search.value !== state.query) this.search.value = state.query;
    for (const walker of this.walkers) walker.disabled = state.query === "";
  }

  private group(name: "order" | "shape", label: string, options: [string, string][]): HTMLElement {
    const choices = options.map(([value, text]): Choice => {
      const change = (): void => this.events.change({ [name]: value } as Partial<ViewState>);
      return { value, element: button(text, { "aria-pressed": "false" }, change) };
    });
    this.choices.set(name, choices);
    return el(
      "div",
      { class: "choice", role: "group", "aria-label": label },
      ...choices.map(({ element }) => element),
    );
  }

  private listen(): void {
    this.search.addEventListener("input", () => this.events.change({ query: this.search.value }));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.events.walk(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") {
        if (this.search.value !== "") this.events.change({ query: "" });
        else this.events.leaveSearch();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
}

/** What is written anew costs style and layout, though it be the same. */
function press(button: HTMLElement, isPressed: boolean): void {
  const pressed = String(isPressed);
  if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
}

function choose(select: HTMLSelectElement, value: string): void {
  if (select.value !== value) select.value = value;
}
