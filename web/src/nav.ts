/** The way to each part of the page. */

import { button } from "./dom";

/** A part counts as current from where its heading comes near the top. */
const NEAR = 140;

export function drawNav(
  place: HTMLElement,
  sections: readonly (readonly [string, string])[],
  goTo: (id: string) => void,
): void {
  const parts = [["lead", "Overview"], ["graph", "Graph"], ["memory", "Memory"], ...sections].filter(
    ([id]) => document.getElementById(id)?.hidden === false,
  );
  // In the order of the page, which sections needn't be told in.
  const found = parts
    .map(([id, label]) => ({ id, label, part: document.getElementById(id) as HTMLElement }))
    .sort((a, b) => (a.part.compareDocumentPosition(b.part) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  const links = found.map(({ id, label }) => button(label, { "data-part": id }, () => goTo(id)));
  place.replaceChildren(...links);
  let pending = false;
  const mark = (): void => {
    pending = false;
    const passed = found.filter(({ part }) => part.getBoundingClientRect().top <= NEAR);
    const current = Math.max(0, passed.length - 1);
    links.forEach((link, at) => {
      if (at === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  const soon = (): void => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(mark);
  };
  window.addEventListener("scroll", soon, { passive: true });
  window.addEventListener("resize", soon, { passive: true });
  mark();
}
