/** How memory grows, in sentences. */

import { printable } from "./data";
import type { Facts } from "./facts";
import { clip, formatBytes, formatCount, formatShare } from "./format";

/** Less than this much a step is no growth that anybody looks for. */
const NOTHING_BYTES = 64;

export function growthSentences(document: Facts): string[] {
  return [
    ...document.at("growth").list.flatMap(growth),
    ...document.at("floors").entries.map(([space, values]) => floor(printable(space), values.list)),
  ];
}

function growth(one: Facts): string[] {
  const where = one.at("space").text === "device" ? "the device" : "the host";
  const each = one.at("bytes_per_step").number ?? 0;
  const cached = one.at("kv_cache_bytes_per_step").number ?? 0;
  const rest = one.at("unexplained_bytes_per_step").number ?? each - cached;
  const steps = formatCount(one.at("steps").number ?? 0);
  const fit = one.at("explained_variance").number;
  const words = [
    `Each decode step adds ${formatBytes(each)} on ${where}: ` +
      `${formatBytes(cached)} are the KV cache's, ${formatBytes(rest)} are not explained ` +
      `(${steps} steps${fit === null ? "" : `; a line fits ${formatShare(fit)} of what varies`}).`,
  ];
  const slack = one.at("slack_bytes_per_step").number ?? 0;
  if (Math.abs(slack) >= NOTHING_BYTES)
    words.push(`Reserved but not allocated grows by ${formatBytes(slack)} a step: fragmentation.`);
  const left = one.at("left_bytes_per_step").number ?? 0;
  if (left >= NOTHING_BYTES) {
    const stack = one.at("left").list[0]?.at("stack").list ?? [];
    const frame = stack[stack.length - 1]?.text ?? null;
    const by = frame === null ? "" : `, most of it by ${clip(printable(frame), 160)}`;
    words.push(`Traced steps leave ${formatBytes(left)} a step behind after the request${by}.`);
  }
  return words;
}

function floor(space: string, values: readonly Facts[]): string {
  const sizes = values.map((value) => value.number ?? 0);
  const change = sizes[sizes.length - 1] - sizes[0];
  const where = space === "device" ? "the device" : "the host's heap";
  const how =
    Math.abs(change) < NOTHING_BYTES
      ? "as much"
      : `${formatBytes(Math.abs(change))} ${change > 0 ? "more" : "less"}`;
  return `After the first of ${sizes.length} requests ${where} holds ${formatBytes(sizes[0])}, after the last ${how}.`;
}
