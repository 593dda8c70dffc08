/** Everything about the selected frame. */

import { kindColour, KIND_NAMES, type Scheme } from "./colour";
import { button, el, styled } from "./dom";
import { clip, formatCount, formatShare, formatTimes, formatValue, inSentence, NONE } from "./format";
import { LARGER } from "./change_colour";
import { inOrder, stepOf, wholeOf } from "./metrics";
import { shareOfRoofline } from "./ratio";
import type { CallTree } from "./tree";

const ORIGINS: Record<string, string> = {
  measured: "measured, with no tracing at work",
  traced: "traced in a window",
  sampled: "sampled",
  scaled: "traced, then scaled to the undisturbed time",
  computed: "computed from other numbers",
  mixed: "obtained in several ways",
};

export interface DetailsEvents {
  zoom(node: number): void;
  find(name: string): void;
  callers(node: number): void;
  focus(node: number): void;
  hide(node: number): void;
}

export function drawDetails(
  place: HTMLElement,
  tree: CallTree,
  node: number,
  metric: number,
  scheme: Scheme,
  events: DetailsEvents,
): void {
  const frame = tree.frame(node);
  const swatch = styled(el("i", { class: "swatch" }), "background", kindColour(frame.kind, scheme));
  const count = tree.instances?.[node] ?? 1;
  const kind = (KIND_NAMES[frame.kind] ?? frame.kind) + (count > 1 ? `, ${formatCount(count)} merged` : "");
  const zoom = button("Zoom here", {}, () => events.zoom(node));
  zoom.title = "Enter";
  const parts = [
    el("p", { class: "kind" }, swatch, kind),
    el("h2", { title: clip(frame.name, 400) }, clip(frame.name, 400)),
    places(tree, node),
    inWords(tree, node),
    bigNumber(tree, node, metric),
    shares(tree, node, metric),
    floor(tree, node),
    numbers(tree, node, metric),
    origin(tree, node),
    el(
      "p",
      { class: "actions" },
      zoom,
      button("Find all", {}, () => events.find(frame.name)),
      ...lensButtons(tree, node, events),
    ),
  ];
  place.replaceChildren(...parts.filter((part) => part !== null));
}

function lensButtons(tree: CallTree, node: number, events: DetailsEvents): HTMLElement[] {
  if (tree.role === "callers" && node === 0)
    return [button("Back from callers", { title: "v" }, () => events.callers(node))];
  if (node === 0) return [];
  return [
    button("Callers", { title: "Who calls it, wherever it is called (v)" }, () => events.callers(node)),
    button("Focus", { title: "Only stacks through it (f)" }, () => events.focus(node)),
    button("Hide", { title: "Charge it to its callers (h)" }, () => events.hide(node)),
  ];
}

function places(tree: CallTree, node: number): HTMLElement {
  const frame = tree.frame(node);
  const list = el("div", { class: "places" });
  if (frame.module !== null) list.append(el("p", { title: "Module" }, frame.module));
  if (frame.file !== null) {
    list.append(
      el("p", { title: "File and line" }, frame.file + (frame.line === null ? "" : `:${frame.line}`)),
    );
  }
  if (frame.full !== null)
    list.append(el("p", { title: "Full name", class: "full", tabindex: "0" }, frame.full));
  return list;
}

function inWords(tree: CallTree, node: number): HTMLElement | null {
  const { words } = tree.frame(node);
  if (words === undefined) return null;
  return el(
    "div",
    { class: "stall-words" },
    el("p", {}, words.meaning),
    el("p", {}, el("b", {}, "What helps: "), words.helps),
  );
}

function bigNumber(tree: CallTree, node: number, metric: number): HTMLElement {
  const { unit, label } = tree.metrics[metric];
  const own = tree.self(metric)[node];
  const self = tree.role === "callers" ? "" : `, of it self ${formatValue(own, unit)}`;
  return el(
    "p",
    { class: "big" },
    el("b", {}, formatValue(tree.total(metric)[node], unit)),
    el("span", {}, inSentence(label) + self),
    perCall(tree, node, metric),
  );
}

function perCall(tree: CallTree, node: number, metric: number): HTMLElement | null {
  const { unit, name } = tree.metrics[metric];
  const step = stepOf(tree.metrics[metric]);
  const calls = tree.self(tree.metric(step === null ? "calls" : `calls@${step.name}`))[node];
  if (name.startsWith("calls") || calls <= 1) return null;
  return el(
    "span",
    {},
    `${formatValue(tree.total(metric)[node] / calls, unit)} per call, ${formatCount(calls)} calls`,
  );
}

function shares(tree: CallTree, node: number, metric: number): HTMLElement {
  const total = tree.total(metric);
  const phase = tree.nearest(node, "phase");
  const rows: [string, number][] = [[wholeOf(tree, metric), 0]];
  if (phase > 0 && phase !== node) rows.unshift([clip(tree.frame(phase).name, 24), phase]);
  const parent = tree.parent[node];
  if (parent > 0 && parent !== phase) rows.unshift(["parent", parent]);
  const list = el("dl", { class: "shares" });
  for (const [label, whole] of rows) {
    const share = total[whole] > 0 ? total[node] / total[whole] : 0;
    const meter = el(
      "span",
      { class: "meter" },
      styled(el("span"), "width", `${Math.min(100, share * 100)}%`),
    );
    list.append(el("dt", {}, `of ${label}`), el("dd", {}, meter, formatShare(share)));
  }
  return list;
}

/** Of all operators, element-wise ones too. Outside of phases there is nothing to compare with it. */
function floor(tree: CallTree, node: number): HTMLElement | null {
  const least = tree.total(tree.metric("floor_ns"))[node];
  if (!(least > 0) || tree.nearest(node, "phase") < 0) return null;
  const times = (name: string): string | null => {
    const time = tree.total(tree.metric(name))[node];
    return time > 0 ? formatTimes(time / least) : null;
  };
  const share = shareOfRoofline(tree, node);
  const pairs: [string, string | null][] = [
    ["share of roofline", share === null ? null : formatShare(share)],
    ["wall / operators' floor", times("wall_ns")],
    ["GPU time / operators' floor", times("device_ns")],
  ];
  const list = el("dl", { class: "shares" });
  for (const [label, ratio] of pairs) {
    if (ratio !== null) list.append(el("dt", {}, label), el("dd", {}, ratio));
  }
  return list;
}

/** Of the step that is looked at where it is one, else of the run. */
function numbers(tree: CallTree, node: number, metric: number): HTMLElement {
  const body = el("tbody");
  const seen = stepOf(tree.metrics[metric])?.name;
  const callers = tree.role === "callers";
  const shown = tree.metrics.filter((one) => stepOf(one)?.name === seen && !one.name.endsWith(LARGER));
  inOrder(shown).forEach((one) => {
    const { unit, name } = one;
    const label = one.label.replace(`, ${stepOf(one)?.words}`, "");
    const index = tree.metric(name);
    const total = tree.total(index)[node];
    const own = callers ? 0 : tree.self(index)[node];
    const single = !callers && name.split("@")[0] === "calls";
    if (own === 0 && (single || total === 0)) return;
    body.append(
      el(
        "tr",
        {},
        el("th", { scope: "row" }, label),
        el("td", {}, single ? formatValue(own, unit) : formatValue(total, unit)),
        el("td", {}, single || own === 0 ? NONE : formatValue(own, unit)),
      ),
    );
  });
  if (body.childElementCount === 0) return el("p", { class: "muted" }, "No metric has anything here.");
  const head = el(
    "tr",
    {},
    el("td"),
    el("th", { scope: "col" }, "total"),
    el("th", { scope: "col" }, "self"),
  );
  return el("table", {}, el("thead", {}, head), body);
}

function origin(tree: CallTree, node: number): HTMLElement {
  const name = tree.originNames[tree.origin[node]];
  if (tree.held)
    return el(
      "p",
      { class: "origin" },
      "Bytes: counted by who holds them; those that a step takes, by who asked for them while it was traced." +
        (node === 0 ? " Where counts say too much, the whole is larger than the measured peak." : ""),
    );
  return el(
    "p",
    { class: "origin" },
    `Time: ${name === undefined ? "of unknown origin" : (ORIGINS[name] ?? name)}.`,
  );
}
