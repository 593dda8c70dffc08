/** Work that may wait until nobody waits for the page. */

const MOST_MS = 500;
/** For browsers that don't tell when they are idle. */
const USUAL_MS = 50;

export function whenIdle(act: () => void): void {
  if (typeof requestIdleCallback === "function") requestIdleCallback(act, { timeout: MOST_MS });
  else setTimeout(act, USUAL_MS);
}
