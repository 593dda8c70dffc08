/** Light or dark: as the system has it, until somebody chooses. */

import type { Scheme } from "./colour";
import { inkOf, type Ink } from "./paint";

const KEY = "llmflame-theme";

export class Theme {
  private chosen: Scheme | null = stored();
  private printed = false;
  private readonly system = matchMedia("(prefers-color-scheme: dark)");

  constructor(
    private readonly control: HTMLElement,
    private readonly changed: () => void,
  ) {
    this.apply();
    control.addEventListener("click", () => this.toggle());
    this.system.addEventListener("change", () => {
      this.apply();
      this.changed();
    });
  }

  get scheme(): Scheme {
    if (this.printed) return "light";
    return this.chosen ?? (this.system.matches ? "dark" : "light");
  }

  print(printed: boolean): void {
    this.printed = printed;
    this.apply();
    this.changed();
  }

  toggle(): void {
    this.chosen = this.scheme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, this.chosen);
    } catch {
      // A page without storage forgets the choice.
    }
    this.apply();
    this.changed();
  }

  ink(): Ink {
    return inkOf();
  }

  private apply(): void {
    document.documentElement.dataset["theme"] = this.scheme;
    this.control.textContent = this.scheme === "dark" ? "Light" : "Dark";
  }
}

function stored(): Scheme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === "dark" || value === "light" ? value : null;
  } catch {
    return null;
  }
}
