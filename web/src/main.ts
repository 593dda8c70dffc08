/** Where the page begins. */

import { App } from "./app";
import { decode, unpack } from "./data";
import { byId, el } from "./dom";

async function main(): Promise<void> {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old: it has no DecompressionStream");
  }
  const place = byId("data");
  const report = decode(await unpack(place.textContent ?? ""));
  place.remove();
  const app = new App(report);
  // For tests of the page, and for looking at it from a browser's console.
  Object.assign(window, {
    llmflame: {
      view: () => ({ ...app.model.state, zoom: app.model.zoom, selected: app.model.selected }),
      tree: () => app.model.tree,
      address: () => `#${app.fragment}`,
      finish: () => app.finish(),
      boxes: () => app.chart.boxes.list(),
    },
  });
  const { dataset } = document.documentElement;
  dataset["ready"] = "true";
  app.drawRest(() => (dataset["whole"] = "true"));
}

main().catch((error: unknown) => {
  const reason = error instanceof Error ? error.message : String(error);
  byId("page").replaceChildren(el("p", { class: "note" }, `This report could not be drawn: ${reason}.`));
});
