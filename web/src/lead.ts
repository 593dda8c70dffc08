/** The top of the page: what ran, where, how it went, and the few numbers that sum it up. */

import { el } from "./dom";
import { printable } from "./data";
import type { Facts } from "./facts";
import { digits, formatBig, formatBytes, formatCount, NONE } from "./format";

const SCALE_LIMIT = 1.3;

export function drawStatus(place: HTMLElement, facts: Facts): void {
  const status = facts.at("status").text;
  place.hidden = status === null || ["complete", "completed", "done", "ok"].includes(status);
  if (place.hidden) return;
  const failed = status === "failed";
  place.className = failed ? "failed" : "partial";
  const words: Record<string, string> = {
    failed: "The profiled run failed.",
    partial: "This profile is partial.",
    recording: "This profile was never closed: it is still being recorded, or its recorder was killed.",
  };
  place.replaceChildren(
    el("strong", {}, words[status ?? ""] ?? `Status: ${printable(status ?? "")}.`),
    el("span", { class: "reason" }, facts.at("reason").text ?? "Reason unknown."),
    el(
      "span",
      { class: "so" },
      "What was recorded until then is shown; totals are those of the recorded part.",
    ),
  );
}

export function drawLead(place: HTMLElement, title: string, facts: Facts): void {
  const subject = facts.at("subject");
  const machine = facts.at("machine");
  const known = (item: Facts): string => printable(item.text ?? "unknown");
  const count = (item: Facts, format = formatCount): string =>
    item.number === null ? known(item) : format(item.number);
  const onCpu = subject.at("device").text === "cpu" && [null, "none"].includes(machine.at("gpu").text);
  const gpu: [string, string][] = onCpu ? [] : [["GPU", known(machine.at("gpu"))]];
  const sentence = facts.at("sentence").text;
  place.replaceChildren(
    el("h1", {}, title),
    sentence === null ? "" : el("p", { class: "sentence" }, printable(sentence)),
    line([
      ["model", known(subject.at("model"))],
      ["", known(subject.at("architecture"))],
      ["parameters", count(subject.at("parameters"), formatBig)],
      ["dtype", known(subject.at("dtype"))],
      ["on", known(subject.at("device"))],
      ["prompt", count(subject.at("prompt_tokens"))],
      ["new", count(subject.at("new_tokens"))],
      ["batch", count(subject.at("batch_size"))],
    ]),
    line([
      ["CPU", known(machine.at("cpu"))],
      ["cores", count(machine.at("cores"))],
      ["RAM", count(machine.at("ram_bytes"), formatBytes)],
      ...gpu,
      ["OS", known(machine.at("os"))],
      ["Python", known(machine.at("python"))],
      ["torch", known(machine.at("torch"))],
      ["transformers", known(machine.at("transformers"))],
    ]),
  );
}

function line(pairs: [string, string][]): HTMLElement {
  const items = pairs
    .filter(([label, value]) => label !== "" || value !== "unknown")
    .map(([label, value]) => el("span", { class: "fact" }, label === "" ? null : el("i", {}, label), value));
  return el("p", { class: "facts" }, ...items);
}

export function drawFigures(place: HTMLElement, facts: Facts): void {
  const latency = facts.at("latency");
  const tpot = latency.at("tpot_ms");
  const host = peak(facts, "host_peak_bytes");
  const device = peak(facts, "device_peak_bytes");
  const steps = tpot.at("n").show(formatCount);
  const first = device ?? host;
  const second = device === null ? null : host;
  place.replaceChildren(
    figure("Time to first token", latency.at("ttft_ms").milliseconds, "TTFT"),
    figure(
      "Time per output token",
      tpot.at("median").milliseconds,
      `p10 ${tpot.at("p10").milliseconds}, p90 ${tpot.at("p90").milliseconds}, ${steps} steps`,
    ),
    figure(
      "Tokens per second",
      latency.at("tokens_per_s").show(digits),
      `whole answer ${latency.at("e2e_ms").milliseconds}`,
    ),
    figure("Load", latency.at("load_s").seconds, `import ${latency.at("import_s").seconds}`),
    figure(
      device === null ? "Peak host memory" : "Peak device memory",
      first === null ? NONE : formatBytes(first.bytes),
      second === null
        ? first === null
          ? "unknown"
          : `in ${first.phase}`
        : `host ${formatBytes(second.bytes)}`,
    ),
    truth(facts),
  );
}

function figure(label: string, value: string, note: string): HTMLElement {
  const [number, unit] = splitUnit(value);
  return el(
    "div",
    { class: "figure" },
    el("span", { class: "label" }, label),
    el("span", { class: "value" }, number, unit === "" ? null : el("small", {}, unit)),
    el("span", { class: "note" }, note),
  );
}

function splitUnit(value: string): [string, string] {
  const at = value.indexOf("\u202f");
  return at < 0 || value.includes(" ") ? [value, ""] : [value.slice(0, at), value.slice(at)];
}

function peak(facts: Facts, name: string): { bytes: number; phase: string } | null {
  let best: { bytes: number; phase: string } | null = null;
  for (const phase of facts.at("phases").list) {
    const bytes = phase.at(name).number;
    if (bytes !== null && (best === null || bytes > best.bytes)) {
      best = { bytes, phase: printable(phase.at("name").text ?? "unknown phase") };
    }
  }
  return best !== null && best.bytes > 0 ? best : null;
}

/** How far the numbers can be trusted. */
function truth(facts: Facts): HTMLElement {
  const cost = facts.at("cost");
  const factor = cost.at("scale_factor");
  const dropped = cost.at("dropped");
  const lost = dropped.number === null ? "unknown" : formatCount(dropped.number);
  const pair = (label: string, value: string, loud = false): HTMLElement =>
    el("span", { class: loud ? "fact loud" : "fact" }, el("i", {}, label), value);
  return el(
    "p",
    { class: "facts truth" },
    pair("time covered", facts.at("coverage", "wall").share),
    pair("bytes covered", facts.at("coverage", "bytes").share),
    pair("cost of the clean pass", cost.at("clean").share),
    pair("of the anatomy pass", cost.at("anatomy").share),
    pair("scaled by", factor.factor, (factor.number ?? 1) > SCALE_LIMIT),
    pair("events dropped", lost, (dropped.number ?? 0) > 0),
  );
}
