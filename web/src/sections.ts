/** The parts of the page below the graph, each there only where the profile knows something of it. */

import type { Scheme } from "./colour";
import { el } from "./dom";
import { whenIdle } from "./idle";
import { labSection } from "./lab/section";
import { SectionPlaces } from "./place_in_sections";
import { rooflineSection } from "./roofline/section";
import type { Section, SectionKind, Wishes } from "./section";
import { stallsSection } from "./stalls/section";
import { stepsSection } from "./steps/section";
import { tablesSection } from "./tables/section";
import { timelineSection } from "./timeline/section";
import type { Tooltip } from "./tooltip";

export const SECTIONS: readonly SectionKind[] = [
  labSection,
  timelineSection,
  stepsSection,
  rooflineSection,
  stallsSection,
  tablesSection,
];

export interface Surroundings {
  goToFrame(words: string): void;
  speak(words: string): void;
  /** Writes the address. */
  remember(): void;
  readonly tooltip: Tooltip;
}

/** A part whose place is kept; null: what it shows isn't drawn yet. */
interface Part {
  readonly title: string;
  readonly place: HTMLElement;
  readonly make: () => Section;
  section: Section | null;
}

/** The graph comes first: parts are drawn one by one when the page is idle, or when one is asked for. */
export class Sections {
  readonly places: SectionPlaces;
  private readonly parts = new Map<string, Part>();
  private scheme: Scheme;

  constructor(
    host: HTMLElement,
    data: Readonly<Record<string, unknown>>,
    around: Surroundings,
    hash: string,
    scheme: Scheme,
  ) {
    this.scheme = scheme;
    this.places = new SectionPlaces(
      SECTIONS.map(({ id }) => id),
      () => around.remember(),
    );
    this.places.read(hash);
    const wishes: Wishes = {
      goToFrame: (words) => around.goToFrame(words),
      goToSection: (id, changes) => this.goTo(id, changes),
      has: (id) => data[id] != null || document.getElementById(id)?.hidden === false,
      speak: (words) => around.speak(words),
    };
    for (const { id, title, make } of SECTIONS) {
      if (data[id] == null) continue;
      const place = el("section", { id, class: "sheet waiting", "aria-labelledby": `${id}-title` });
      host.append(place);
      const state = this.places.of(id);
      const context = { place, data: data[id], state, tooltip: around.tooltip, wishes };
      this.parts.set(id, { title, place, make: () => make(context), section: null });
    }
  }

  get titles(): [id: string, title: string][] {
    return [...this.parts].map(([id, { title }]) => [id, title]);
  }

  /** Where a part is gone to before its turn, it is drawn before it is scrolled to. */
  draw(id: string): void {
    const part = this.parts.get(id);
    if (part === undefined || part.section !== null) return;
    part.section = part.make();
    part.section.recolour(this.scheme);
    part.place.classList.remove("waiting");
  }

  drawAll(): void {
    for (const id of this.parts.keys()) this.draw(id);
  }

  /** One after the other, so that none of them is waited for; `done` once all are there. */
  drawWhenIdle(done: () => void): void {
    const next = [...this.parts].find(([, { section }]) => section === null);
    if (next === undefined) return done();
    whenIdle(() => {
      this.draw(next[0]);
      this.drawWhenIdle(done);
    });
  }

  recolour(scheme: Scheme): void {
    this.scheme = scheme;
    for (const { section } of this.parts.values()) section?.recolour(scheme);
  }

  restore(hash: string): void {
    this.places.read(hash);
    for (const { section } of this.parts.values()) section?.restore();
  }

  goTo(id: string, changes: Record<string, string> = {}): void {
    // Those above it, too: drawn later, they would push it out of sight.
    this.drawAll();
    const known = this.parts.get(id)?.section ?? null;
    if (known !== null && Object.keys(changes).length > 0) {
      this.places.of(id).set(changes);
      known.restore();
    }
    bringInSight(id);
  }
}

/** Scrolls to a part of the page, and lets the keyboard go on from there. */
export function bringInSight(id: string): void {
  const part = document.getElementById(id);
  if (part === null) return;
  part.scrollIntoView({ block: "start" });
  const heading = part.querySelector<HTMLElement>("h1, h2") ?? part;
  if (!heading.hasAttribute("tabindex")) heading.setAttribute("tabindex", "-1");
  heading.focus({ preventScroll: true });
}
