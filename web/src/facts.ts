/** Reading a summary in which anything may be missing or unknown. */

import { formatBytes, formatNs, formatShare, formatTimes, NONE } from "./format";

export class Facts {
  constructor(private readonly value: unknown) {}

  at(...path: string[]): Facts {
    let value = this.value;
    for (const step of path) {
      value =
        typeof value === "object" && value !== null ? (value as Record<string, unknown>)[step] : undefined;
    }
    return new Facts(value);
  }

  get list(): Facts[] {
    return Array.isArray(this.value) ? this.value.map((item) => new Facts(item)) : [];
  }

  get entries(): [string, Facts][] {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
    return Object.entries(value).map(([name, item]) => [name, new Facts(item)]);
  }

  get number(): number | null {
    return typeof this.value === "number" && Number.isFinite(this.value) ? this.value : null;
  }

  /** The value as text; null where it is unknown. */
  get text(): string | null {
    const value = this.value;
    if (typeof value === "string") return value === "" ? null : value;
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    return null;
  }

  show(format: (value: number) => string): string {
    return this.number === null ? NONE : format(this.number);
  }

  get milliseconds(): string {
    return this.show((value) => formatNs(value * 1e6));
  }

  get seconds(): string {
    return this.show((value) => formatNs(value * 1e9));
  }

  get bytes(): string {
    return this.show(formatBytes);
  }

  /** A number is a fraction; text stands for itself. */
  get share(): string {
    return this.number === null ? (this.text ?? "unknown") : formatShare(this.number);
  }

  get factor(): string {
    return this.number === null ? (this.text ?? "unknown") : formatTimes(this.number);
  }
}
