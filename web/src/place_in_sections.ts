/** What sections show, in the address beside what the graph shows: `timeline.window=decode.8`. Pure. */

/** One section's part of the address. */
export interface SectionState {
  /** Empty where nothing was chosen. */
  get(key: string): string;
  /** An empty value takes its key out of the address. */
  set(changes: Record<string, string>): void;
}

export class SectionPlaces {
  private readonly pairs = new Map<string, string>();

  /** `changed` is called after a section has set something. */
  constructor(
    private readonly ids: readonly string[],
    private readonly changed: () => void,
  ) {}

  of(id: string): SectionState {
    return {
      get: (key) => this.pairs.get(`${id}.${key}`) ?? "",
      set: (changes) => {
        for (const [key, value] of Object.entries(changes)) {
          if (value === "") this.pairs.delete(`${id}.${key}`);
          else this.pairs.set(`${id}.${key}`, value);
        }
        this.changed();
      },
    };
  }

  /** Takes the sections' part of an address. */
  read(fragment: string): void {
    this.pairs.clear();
    for (const [key, value] of params(fragment)) if (this.isOwn(key)) this.pairs.set(key, value);
  }

  /** The part of an address that isn't the sections'. */
  without(fragment: string): string {
    const all = params(fragment);
    for (const key of [...all.keys()]) if (this.isOwn(key)) all.delete(key);
    return all.toString();
  }

  /** An address with the sections' part. */
  join(fragment: string): string {
    const own = new URLSearchParams([...this.pairs].sort(([a], [b]) => (a < b ? -1 : 1))).toString();
    return [fragment, own].filter((part) => part !== "").join("&");
  }

  private isOwn(key: string): boolean {
    const dot = key.indexOf(".");
    return dot > 0 && this.ids.includes(key.slice(0, dot));
  }
}

function params(fragment: string): URLSearchParams {
  return new URLSearchParams(fragment.replace(/^#/, ""));
}
