/** What to change: each finding with its bound, its evidence, and the frames that hold the time. */

import { printable } from "./data";
import { button, el } from "./dom";
import type { Facts } from "./facts";
import { clip, formatNs, formatShare } from "./format";

const SHOWN = 3;
const SCOPES: Record<string, string> = { request: "a request", "cold start": "the cold start" };

export function drawFindings(place: HTMLElement, facts: Facts, find: (words: string) => void): void {
  const items = facts.at("findings").list.map((finding) => item(finding, find));
  place.hidden = items.length === 0;
  if (place.hidden) return;
  const rest = items.slice(SHOWN);
  const more = el("ol", { class: "findings", start: String(SHOWN + 1) }, ...rest);
  place.replaceChildren(
    el("h2", { id: "changes-title" }, "What to change"),
    el("ol", { class: "findings" }, ...items.slice(0, SHOWN)),
    rest.length === 0 ? "" : el("details", {}, el("summary", {}, `${rest.length} more`), more),
  );
}

function item(finding: Facts, find: (words: string) => void): HTMLElement {
  const change = finding.at("change").text;
  const variant = finding.at("variant").text;
  const frames = texts(finding.at("frames")).map((words) =>
    el(
      "li",
      {},
      button(clip(words, 240), { class: "link", title: "Show in the graph" }, () => find(words)),
    ),
  );
  return el(
    "li",
    {},
    el(
      "h3",
      {},
      clip(printable(finding.at("title").text ?? "Untitled"), 200),
      el("small", {}, bound(finding)),
    ),
    change === null ? null : el("p", { class: "change" }, clip(printable(change), 600)),
    ...texts(finding.at("evidence")).map((words) => el("p", {}, clip(words, 400))),
    variant === null
      ? null
      : el("p", {}, "To try it: variant ", el("code", {}, clip(printable(variant), 80))),
    frames.length === 0 ? null : el("ul", { "aria-label": "Frames" }, ...frames),
  );
}

function texts(list: Facts): string[] {
  return list.list
    .map((words) => words.text)
    .filter((words) => words !== null)
    .map(printable);
}

function bound(finding: Facts): string {
  const gain = finding.at("gain_s").number;
  const share = finding.at("gain_share").number;
  const scope = finding.at("scope").text ?? "the run";
  const of = SCOPES[scope] ?? clip(printable(scope), 40);
  if (gain === null) return "by how much is unknown";
  const words = `at most ${formatNs(gain * 1e9)}`;
  return share === null ? words : `${words}, ${formatShare(share)} of ${of}`;
}

/** Where the recording's account of the device does not agree with itself. */
export function drawChecks(place: HTMLElement, facts: Facts): void {
  const failed = facts.at("checks").list.filter((check) => check.at("passed").text === "false");
  place.hidden = failed.length === 0;
  place.replaceChildren(
    ...failed.map((check) =>
      el(
        "p",
        {},
        el("strong", {}, `Check failed, ${clip(printable(check.at("name").text ?? "unnamed"), 80)}: `),
        clip(printable(check.at("words").text ?? "no reason given"), 400),
        ".",
      ),
    ),
  );
}
