/** The part of the address behind `#`: what is seen, so that it can be sent, and gone back to. */

const REST_MS = 150;

export class Address {
  private waiting: string | null = null;
  private timer = 0;

  constructor(changed: () => void) {
    window.addEventListener("popstate", changed);
    window.addEventListener("hashchange", changed);
    window.addEventListener("pagehide", () => this.flush());
  }

  /** Empty where there is none, as inside a notebook's frame. */
  get fragment(): string {
    return this.waiting ?? location.hash.replace(/^#/, "");
  }

  /** `asStep`: Back leads away from it. What is no step may wait: browsers take their time to write it. */
  remember(fragment: string, asStep: boolean): void {
    if (asStep) {
      this.flush();
      return write("pushState", fragment);
    }
    this.waiting = fragment;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.flush(), REST_MS);
  }

  private flush(): void {
    clearTimeout(this.timer);
    if (this.waiting === null) return;
    write("replaceState", this.waiting);
    this.waiting = null;
  }
}

function write(how: "pushState" | "replaceState", fragment: string): void {
  try {
    history[how](null, "", `#${fragment}`);
  } catch {
    // Inside a notebook's frame there is no address to keep.
  }
}
