/** The part of the address behind `#`: what is seen, so that it can be sent, and gone back to. */

import type { Later } from "./later";

const REST_MS = 150;

interface Write {
  readonly how: "pushState" | "replaceState";
  fragment: string;
}

export class Address {
  /** In their order; what is no step is the last. */
  private readonly waiting: Write[] = [];
  private timer = 0;

  constructor(
    changed: () => void,
    private readonly later: Later,
  ) {
    window.addEventListener("popstate", () => {
      // Back leads to what stands there: what had not been written yet is left.
      this.waiting.length = 0;
      changed();
    });
    window.addEventListener("hashchange", changed);
    window.addEventListener("pagehide", () => this.flush());
  }

  /** Empty where there is none, as inside a notebook's frame. */
  get fragment(): string {
    return this.waiting.at(-1)?.fragment ?? location.hash.replace(/^#/, "");
  }

  /** `asStep`: Back leads away from it. What is no step may wait: browsers take their time to write it. */
  remember(fragment: string, asStep: boolean): void {
    const last = this.waiting.at(-1);
    if (asStep || last === undefined)
      this.waiting.push({ fragment, how: asStep ? "pushState" : "replaceState" });
    else last.fragment = fragment;
    if (asStep) return this.later.do("address", () => this.flush());
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.flush(), REST_MS);
  }

  private flush(): void {
    clearTimeout(this.timer);
    for (const { how, fragment } of this.waiting.splice(0)) write(how, fragment);
  }
}

function write(how: Write["how"], fragment: string): void {
  try {
    history[how](null, "", `#${fragment}`);
  } catch {
    // Inside a notebook's frame there is no address to keep.
  }
}
