/** What a section of the page is, and what it is given. */

import type { Scheme } from "./colour";
import { el } from "./dom";
import type { SectionState } from "./place_in_sections";
import type { Tooltip } from "./tooltip";

/** What sections ask of the page. */
export interface Wishes {
  /** Shows a frame in the graph: "decode › model.layers.0.mlp › aten::mm", or a name to search for. */
  goToFrame(words: string): void;
  /** Brings a part of the page into sight; with changes, another section's choices first. */
  goToSection(id: string, changes?: Record<string, string>): void;
  has(id: string): boolean;
  speak(words: string): void;
}

export interface SectionContext {
  readonly place: HTMLElement;
  /** As the page carries it; see views/page/. */
  readonly data: unknown;
  readonly state: SectionState;
  readonly tooltip: Tooltip;
  readonly wishes: Wishes;
}

export interface Section {
  /** Draws everything anew: at first, after a change of the colours, and for paper. */
  recolour(scheme: Scheme): void;
  /** The address has changed. */
  restore(): void;
}

export interface SectionKind {
  readonly id: string;
  readonly title: string;
  make(context: SectionContext): Section;
}

/** A heading that can be jumped to, and what is chosen beside it. */
export function header(id: string, title: string, ...tools: (HTMLElement | null)[]): HTMLElement {
  return el(
    "header",
    {},
    el("h2", { id: `${id}-title`, tabindex: "-1" }, title),
    el("div", { class: "tools" }, ...tools),
  );
}
