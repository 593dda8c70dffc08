/** The parts of the page below the graph, each there only where the profile knows something of it. */

import type { Scheme } from "./colour";
import { el } from "./dom";
import { SectionPlaces } from "./place_in_sections";
import { rooflineSection } from "./roofline/section";
import type { Section, SectionKind, Wishes } from "./section";
import { stepsSection } from "./steps/section";
import { tablesSection } from "./tables/section";
import { timelineSection } from "./timeline/section";
import type { Tooltip } from "./tooltip";

export const SECTIONS: readonly SectionKind[] = [
  timelineSection,
  stepsSection,
  rooflineSection,
  tablesSection,
];

export interface Surroundings {
  goToFrame(words: string): void;
  speak(words: string): void;
  /** Writes the address. */
  remember(): void;
  readonly tooltip: Tooltip;
}

export class Sections {
  readonly places: SectionPlaces;
  private readonly made = new Map<string, { section: Section; place: HTMLElement; title: string }>();

  constructor(
    host: HTMLElement,
    data: Readonly<Record<string, unknown>>,
    around: Surroundings,
    hash: string,
  ) {
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
      const place = el("section", { id, class: "sheet", "aria-labelledby": `${id}-title` });
      host.append(place);
      const section = make({
        place,
        data: data[id],
        state: this.places.of(id),
        tooltip: around.tooltip,
        wishes,
      });
      this.made.set(id, { section, place, title });
    }
  }

  get titles(): [id: string, title: string][] {
    return [...this.made].map(([id, { title }]) => [id, title]);
  }

  recolour(scheme: Scheme): void {
    for (const { section } of this.made.values()) section.recolour(scheme);
  }

  restore(hash: string): void {
    this.places.read(hash);
    for (const { section } of this.made.values()) section.restore();
  }

  private goTo(id: string, changes: Record<string, string> = {}): void {
    const known = this.made.get(id);
    if (known !== undefined && Object.keys(changes).length > 0) {
      this.places.of(id).set(changes);
      known.section.restore();
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
