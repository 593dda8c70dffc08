/** Numbers as people read them. What is not known is said so. */

export const NONE = "–";
const GAP = "\u202f";

export function formatNs(ns: number): string {
  const size = Math.abs(ns);
  if (size === 0) return `0${GAP}s`;
  if (size >= 60e9) return minutes(ns / 1e9);
  if (size >= 0.9995e9) return `${digits(ns / 1e9)}${GAP}s`;
  if (size >= 0.9995e6) return `${digits(ns / 1e6)}${GAP}ms`;
  if (size >= 0.9995e3) return `${digits(ns / 1e3)}${GAP}µs`;
  return `${Math.round(ns)}${GAP}ns`;
}

function minutes(seconds: number): string {
  const whole = Math.floor(seconds / 60);
  return `${whole}${GAP}min ${(seconds - whole * 60).toFixed(0)}${GAP}s`;
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : digits(value)}${GAP}${units[unit]}`;
}

/** Floating-point operations in decimal steps, as data sheets have them. */
export function formatFlop(count: number): string {
  const steps: [number, string][] = [
    [1e18, "E"],
    [1e15, "P"],
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  const step = steps.find(([size]) => Math.abs(count) >= size * 0.9995);
  if (step === undefined) return `${Math.round(count)}${GAP}FLOP`;
  return `${digits(count / step[0])}${GAP}${step[1]}FLOP`;
}

/** Made once: to make one takes longer than all the numbers of a page. */
const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });

export function formatCount(count: number): string {
  return COUNT.format(count);
}

export function formatValue(value: number, unit: string): string {
  if (unit === "ns") return formatNs(value);
  if (unit === "bytes") return formatBytes(value);
  if (unit === "count") return formatCount(value);
  if (unit === "flop") return formatFlop(value);
  return `${formatCount(value)}${GAP}${unit}`;
}

export function formatShare(share: number): string {
  if (!Number.isFinite(share)) return NONE;
  const percent = share * 100;
  if (percent > 0 && percent < 0.05) return `<${GAP}0.1${GAP}%`;
  return `${percent.toFixed(percent >= 99.95 || percent === 0 ? 0 : 1)}${GAP}%`;
}

/** Three significant digits, or all the whole ones. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  return value.toFixed(size >= 9.995 ? 1 : 2);
}

export function formatBig(count: number): string {
  if (count >= 1e9) return `${digits(count / 1e9)}${GAP}B`;
  if (count >= 1e6) return `${digits(count / 1e6)}${GAP}M`;
  return formatCount(count);
}

/** How many times as much: 1.97×, 27.5×, 17,014×. */
export function formatTimes(factor: number): string {
  return `${factor >= 1000 ? formatCount(Math.round(factor)) : digits(factor)}×`;
}

/** A label inside a sentence: "wall time", but "GPU time" and "FLOPs". */
export function inSentence(label: string): string {
  return /^\p{Lu}\P{Lu}/u.test(label) ? label[0].toLowerCase() + label.slice(1) : label;
}

/** The last two parts of a path, which is what tells files apart. */
export function shortFile(file: string): string {
  const parts = file.split(/[\\/]/);
  return parts.length > 2 ? parts.slice(-2).join("/") : file;
}

export function clip(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
