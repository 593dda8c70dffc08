/** Memory over time: layers of bytes that hold from one instant to the next. Pure. */

export interface RawCharts {
  curves: { space: string; labels: string[]; time_us: number[]; unit: number; layers: number[][] }[];
  bands: {
    name: string;
    request: number | null;
    start_us: number;
    wall_us: number;
    host: number | null;
    device: number | null;
  }[];
}

export type Space = "host" | "device";

export interface Curves {
  readonly space: Space;
  readonly labels: readonly string[];
  /** In microseconds. */
  readonly times: readonly number[];
  /** Bytes from each instant on, the lowest layer first. */
  readonly layers: readonly (readonly number[])[];
}

/** A phase of the clean pass. */
export interface Band {
  readonly name: string;
  /** Which request it is of; null outside of requests. */
  readonly request: number | null;
  readonly start: number;
  readonly end: number;
  readonly peaks: Record<Space, number | null>;
}

export interface Charts {
  readonly curves: readonly Curves[];
  readonly bands: readonly Band[];
}

/** A stretch of the time axis. */
export interface Range {
  readonly label: string;
  readonly begin: number;
  readonly end: number;
}

export function decodeCharts(raw: RawCharts): Charts {
  return {
    curves: raw.curves.map(({ space, labels, time_us, unit, layers }) => ({
      space: space === "device" ? "device" : "host",
      labels,
      times: summed(time_us, 1),
      layers: layers.map((layer) => summed(layer, unit)),
    })),
    bands: raw.bands.map(({ name, request, start_us, wall_us, host, device }) => ({
      name,
      request,
      start: start_us,
      end: start_us + wall_us,
      peaks: { host, device },
    })),
  };
}

function summed(differences: readonly number[], unit: number): number[] {
  let value = 0;
  return differences.map((difference) => (value += difference) * unit);
}

/** The whole pass, the cold start, and each of a few requests: a long one would hide the others. */
export function rangesOf({ bands, curves }: Charts): Range[] {
  const last = Math.max(0, ...bands.map(({ end }) => end), ...curves.map(({ times }) => times.at(-1) ?? 0));
  const found: Range[] = [{ label: "Whole pass", begin: 0, end: Math.max(1, last) }];
  const add = (label: string, own: readonly Band[]): void => {
    if (own.length === 0) return;
    found.push({ label, begin: own[0].start, end: Math.max(...own.map(({ end }) => end)) });
  };
  const requests = [...new Set(bands.map(({ request }) => request).filter((request) => request !== null))];
  add(
    "Cold start",
    bands.filter(({ request }) => request === null),
  );
  for (const request of requests.slice(0, MOST_REQUESTS)) {
    const own = bands.filter((band) => band.request === request);
    add(requests.length > 1 ? `Request ${request + 1}` : "Request", own);
  }
  return found.length > 2 ? found : found.slice(0, 1);
}

const MOST_REQUESTS = 4;

/** The place of the last instant that is not later; -1 before the first. */
export function placeAt(times: readonly number[], time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The phase of an instant; null between phases. */
export function bandAt(bands: readonly Band[], time: number): Band | null {
  return bands.find(({ start, end }) => start <= time && time < end) ?? null;
}

export function sumAt({ layers }: Curves, place: number): number {
  return layers.reduce((sum, layer) => sum + (layer[place] ?? 0), 0);
}

/**
 * The outline of each layer as an SVG path in a square of `size`: steps along its upper edge, and back along
 * its lower one.
 */
export function outlines(curves: Curves, range: Range, most: number, size: number): string[] {
  const { times, layers } = curves;
  const first = Math.max(0, placeAt(times, range.begin));
  const last = placeAt(times, range.end);
  if (last < first) return layers.map(() => "");
  const x = (time: number): number => ((time - range.begin) / (range.end - range.begin)) * size;
  const y = (bytes: number): number => size - (bytes / most) * size;
  const edges = [Math.max(times[first], range.begin)];
  for (let place = first + 1; place <= last; place++) edges.push(times[place]);
  edges.push(range.end);
  const below = new Array<number>(last - first + 1).fill(0);
  return layers.map((layer) => {
    const forth: string[] = [];
    const back: string[] = [];
    for (let at = 0; at < below.length; at++) {
      const from = x(edges[at]).toFixed(2);
      const to = x(edges[at + 1]).toFixed(2);
      const bottom = y(below[at]).toFixed(2);
      below[at] += layer[first + at];
      const top = y(below[at]).toFixed(2);
      forth.push(`${from} ${top} ${to} ${top}`);
      back.push(`${to} ${bottom} ${from} ${bottom}`);
    }
    return `M${forth.join("L")}L${back.reverse().join("L")}Z`;
  });
}

/** Even steps of bytes from nothing to at least `most`: powers of two, which are round in binary units. */
export function gridOf(most: number): number[] {
  const wanted = Math.max(1, most) / 3;
  const step = 2 ** Math.ceil(Math.log2(wanted));
  const lines = [0];
  while (lines[lines.length - 1] < most) lines.push(lines.length * step);
  return lines;
}
