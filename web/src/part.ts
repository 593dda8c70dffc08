/** Which part of the run is looked at: all of it, a phase, or a single step that was traced. */

import { el } from "./dom";
import type { Step } from "./metrics";

export interface PartEvents {
  whole(): void;
  phase(name: string): void;
  step(step: Step): void;
}

const PHASE = "phase:";
const STEP = "step:";

export class PartChoice {
  readonly element: HTMLElement;
  private readonly select: HTMLSelectElement;

  constructor(phases: readonly string[], steps: readonly Step[], events: PartEvents) {
    const options = (label: string, members: HTMLOptionElement[]): HTMLElement[] =>
      members.length === 0 ? [] : [el("optgroup", { label }, ...members)];
    this.select = el(
      "select",
      { id: "part", title: "Which part of the run" },
      el("option", { value: "" }, "Whole run"),
      ...options(
        "Phases",
        phases.map((name) => el("option", { value: PHASE + name }, name)),
      ),
      ...options(
        "Single steps, traced",
        steps.map(({ name, words }) => el("option", { value: STEP + name }, words)),
      ),
    );
    this.select.addEventListener("change", () => {
      const { value } = this.select;
      const step = steps.find(({ name }) => STEP + name === value);
      if (step !== undefined) events.step(step);
      else if (value.startsWith(PHASE)) events.phase(value.slice(PHASE.length));
      else events.whole();
    });
    this.element = el("label", { class: "field" }, el("span", {}, "Part"), this.select);
  }

  /** A step where one is chosen, else the phase that is zoomed to; `elsewhere`: no part of a run is looked at. */
  show(step: string, phase: string | null, elsewhere: boolean): void {
    this.select.disabled = elsewhere;
    this.select.value = step !== "" ? STEP + step : phase === null ? "" : PHASE + phase;
    if (this.select.selectedIndex < 0) this.select.value = "";
  }
}
