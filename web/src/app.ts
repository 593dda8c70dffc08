/** The page as a whole: ties the model to what is drawn, and keys to what they do. */

import { Address } from "./address";
import { baseOf } from "./change_colour";
import type { Scheme } from "./colour";
import { modeOf, modesFor, type Colouring, type ColourMode } from "./colouring";
import { CompareView } from "./compare";
import { drawCrumbs } from "./crumbs";
import type { Report } from "./data";
import { drawDetails } from "./details";
import { byId, el } from "./dom";
import { Facts } from "./facts";
import { drawChecks, drawFindings } from "./findings";
import { FlameChart } from "./flame";
import { clip, formatCount, formatShare, formatValue } from "./format";
import { drawHelp } from "./help";
import { Keys, type Commands } from "./keys";
import { drawFigures, drawLead, drawStatus } from "./lead";
import { Later } from "./later";
import { drawLegend } from "./legend";
import { drawLenses, withLine } from "./lenses";
import { drawLimit } from "./limit";
import { MemoryView } from "./memory";
import { peakOf, wholeOf } from "./metrics";
import { Model } from "./model";
import { drawNav } from "./nav";
import { PartChoice } from "./part";
import { identity } from "./pattern";
import { drawPhases, phasesOf, type Phase } from "./phases";
import { placeOf } from "./place";
import { Sections } from "./sections";
import { TreeSource } from "./source";
import type { ViewState } from "./state";
import { FrameTable } from "./table";
import { Theme } from "./theme";
import { Toolbar } from "./toolbar";
import { Tooltip } from "./tooltip";
import type { CallTree } from "./tree";

export class App {
  readonly model: Model;
  readonly chart: FlameChart;
  private readonly theme: Theme;
  private readonly toolbar: Toolbar;
  private readonly tooltip: Tooltip;
  private readonly table: FrameTable;
  private readonly memory: MemoryView;
  private readonly sections: Sections;
  private readonly phases: Phase[];
  private readonly facts: Facts;
  private readonly help = byId<HTMLDialogElement>("help");
  private readonly address: Address;
  private readonly part: PartChoice;
  private readonly modes: readonly ColourMode[];
  /** What the bar of phases shows: it is drawn anew where that changes only. */
  private phasesAre = "";
  private legendIs: { colouring: Colouring; zoom: number; metric: number } | null = null;
  private readonly later: Later;
  private source: TreeSource;
  private colouring: Colouring;
  private made: {
    tree: CallTree;
    mode: ColourMode;
    scheme: Scheme;
    metric: string;
    colouring: Colouring;
  } | null = null;
  /** Matches, the heaviest first; null: nobody has asked for them yet. */
  private walked: number[] | null = null;
  private drawn = false;

  constructor(report: Report) {
    this.model = new Model(report);
    const facts = (this.facts = new Facts(report.summary));
    this.phases = phasesOf(facts, report.tree, report.tree.metric("wall_ns"));
    this.theme = new Theme(byId("theme"), () => this.recolour());
    this.tooltip = new Tooltip(byId("tooltip"));
    drawStatus(byId("status"), facts);
    drawChecks(byId("checks"), facts);
    drawLead(byId("lead"), report.title, facts);
    drawFigures(byId("figures"), facts);
    drawFindings(byId("changes"), facts, (words) => this.goToPlace(words));
    drawHelp(this.help);
    byId("footer").textContent = "One file: it fetches nothing and sends nothing.";
    this.memory = new MemoryView(byId("memory"), report.memory, this.tooltip, (metric) => this.open(metric));
    this.memory.recolour(this.theme.scheme);
    new CompareView(byId("compare"), report.compared, {
      look: (suffix) => this.lookAtChange(suffix),
      find: (phase, name) => this.goToPlace(`${phase} › ${name}`),
    });
    const phases = this.phases.filter(({ node }) => node >= 0).map(({ name }) => name);
    this.part = new PartChoice(phases, this.model.steps, {
      whole: () => this.goToWhole(),
      phase: (name) => this.goToPhase(name),
      step: ({ name, phase }) => this.goToPhase(phase, name),
    });
    this.modes = modesFor(report.compared);
    this.toolbar = new Toolbar(byId("toolbar"), this.model.metrics, this.modes, this.part, {
      change: (change) => this.change(change),
      walk: (by) => this.walk(by),
      leaveSearch: () => this.chart.element.focus(),
    });
    this.chart = new FlameChart(byId("flame"), {
      hover: (node, hidden, event) => this.hover(node, hidden, event),
      pick: (node) => this.zoomTo(node, node),
    });
    this.later = new Later(() => this.chart.isStill);
    this.table = new FrameTable(byId("table"), (row) => this.select(row.node));
    const around = {
      goToFrame: (words: string) => this.goToPlace(words),
      speak: (words: string) => (byId("spoken").textContent = words),
      remember: () => this.remember(false),
      tooltip: this.tooltip,
    };
    this.sections = new Sections(byId("sections"), report.sections, around, location.hash, this.theme.scheme);
    drawNav(byId("nav"), this.sections.titles, (id) => this.sections.goTo(id));
    byId("help-open").addEventListener("click", () => this.help.showModal());
    new Keys(this.commands(), this.chart.element, () => this.help.open);
    window.addEventListener("beforeprint", () => this.onPaper(true));
    window.addEventListener("afterprint", () => this.onPaper(false));
    this.address = new Address(() => this.restore(), this.later);
    this.colouring = this.makeColouring();
    this.source = this.makeSource();
    this.chart.recolour(this.theme.ink());
    if (this.model.metric < 0)
      byId("flame").replaceChildren(el("p", { class: "note" }, "This profile holds no numbers to draw."));
    this.drawLimit();
    this.restore();
    this.later.finish();
  }

  private commands(): Commands {
    return {
      model: this.model,
      source: () => this.source,
      change: (change, asStep) => this.change(change, asStep),
      select: (node) => this.select(node),
      zoomTo: (zoom, selected) => this.zoomTo(zoom, selected),
      walk: (by) => this.walk(by),
      callersOf: (node) => this.turn(node),
      focusOn: (node) => this.focusOn(node),
      hide: (node) => this.hide(node),
      nextColour: () => this.nextColour(),
      toggleTheme: () => this.theme.toggle(),
      search: () => this.toolbar.search.select(),
      help: () => this.help.showModal(),
    };
  }

  /** Once the graph stands. */
  drawRest(done: () => void): void {
    this.later.whenDone(() => this.sections.drawWhenIdle(done));
  }

  /** What would follow a frame or two later is there at once. */
  finish(): void {
    this.later.finish();
  }

  /** What is seen, as it stands in the address. */
  get fragment(): string {
    return this.sections.places.join(this.model.fragment());
  }

  private restore(): void {
    if (this.drawn) this.sections.restore(this.address.fragment);
    if (this.drawn && this.sections.places.without(this.address.fragment) === this.model.fragment()) return;
    this.drawn = true;
    this.model.restore(this.address.fragment);
    this.refresh(false);
    if (this.model.selected !== this.model.zoom) this.reveal(this.model.selected);
  }

  /** Kept while what it is made of stays: to make one costs a pass over the nodes. */
  private makeColouring(): Colouring {
    const { tree, state } = this.model;
    const { scheme } = this.theme;
    const mode = modeOf(state.colour, tree, this.modes);
    const metric = mode.followsMetric === true ? state.metric : "";
    const { made } = this;
    if (made?.tree === tree && made.mode === mode && made.scheme === scheme && made.metric === metric)
      return made.colouring;
    const colouring = mode.start(tree, scheme, metric);
    this.made = { tree, mode, scheme, metric, colouring };
    return colouring;
  }

  private makeSource(): TreeSource {
    const { tree, state, metric } = this.model;
    return new TreeSource(tree, metric, state.order, this.colouring);
  }

  /** After the tree, the metric, the order or the colours have changed. */
  private refresh(glide: boolean): void {
    const { model } = this;
    this.colouring = this.makeColouring();
    this.source = this.makeSource();
    if (model.metric >= 0)
      this.chart.show(this.source, model.state.shape === "flame", model.tree.height[0] + 1);
    this.chart.mark({ hovered: -1 });
    drawLenses(byId("lenses"), model.report.tree, model.state, model.trouble, (change) =>
      this.change(change),
    );
    this.showZoom(glide);
    this.showSelected();
  }

  private showZoom(glide: boolean): void {
    const { model } = this;
    const { tree, zoom, metric } = model;
    if (metric >= 0) this.chart.fit(zoom, tree.depth[zoom], tree.depth[zoom] + tree.height[zoom] + 1, glide);
    this.chart.mark({ zoomed: zoom });
    this.showMatches();
    this.later.do("way", () => this.showWay());
    this.showBeside();
  }

  /** What part of the run it is, and how one came there. */
  private showWay(): void {
    const { tree, zoom, metric, state } = this.model;
    const { scheme } = this.theme;
    const phase = tree.nearest(zoom, "phase");
    const held = tree.held && metric >= 0 ? (peakOf(tree.metrics[metric])?.phase ?? null) : null;
    const current = phase < 0 ? held : tree.frame(phase).name;
    const phasesAre = `${scheme} ${current}`;
    if (phasesAre !== this.phasesAre)
      drawPhases(byId("phases"), this.phases, scheme, current, (item) => this.goToPhase(item.name));
    this.phasesAre = phasesAre;
    this.part.show(state.step, phase < 0 ? null : tree.frame(phase).name, tree.held);
    drawCrumbs(byId("crumbs"), tree, zoom, (node) => this.zoomTo(node, node));
  }

  private showSelected(): void {
    const { model } = this;
    const { selected } = model;
    const same = selected > 0 ? (node: number): boolean => model.ranking.alike(node, selected) : null;
    this.chart.mark({ selected, same });
    this.later.do("details", () => this.showDetails());
    this.showBeside();
  }

  private showDetails(): void {
    const { tree, selected, metric } = this.model;
    if (metric < 0) return;
    drawDetails(byId("details"), tree, selected, metric, this.theme.scheme, {
      zoom: (node) => this.zoomTo(node, node),
      find: (query) => this.change({ query, regex: false }),
      callers: (node) => this.turn(node),
      focus: (node) => this.focusOn(node),
      hide: (node) => this.hide(node),
    });
    this.speak();
  }

  /** Passes over all nodes: they wait for the graph, and what is asked for meanwhile is done once. */
  private showBeside(): void {
    if (this.model.metric < 0) return;
    this.later.doWhenStill("legend", () => this.showLegend());
    this.later.doWhenStill("table", () => this.showTable());
  }

  private showLegend(): void {
    const { tree, zoom, metric } = this.model;
    const { colouring, legendIs } = this;
    if (legendIs?.colouring === colouring && legendIs.zoom === zoom && legendIs.metric === metric) return;
    drawLegend(byId("legend"), tree, zoom, metric, colouring);
    this.legendIs = { colouring, zoom, metric };
  }

  private showTable(): void {
    const { model } = this;
    const { tree, selected, metric } = model;
    const scheme = this.theme.scheme;
    byId("table").hidden = tree.role === "callers";
    const acts = this.table.show({
      rows: model.top(),
      metric: tree.metrics[metric],
      within: tree.frame(model.zoom).name,
      whole: tree.total(metric)[model.zoom],
      hasCalls: model.calls >= 0,
      scheme,
      isSelected: (row) => model.ranking.alike(row.node, selected),
    });
    acts.forEach((act, at) => this.later.doWhenStill(`table ${at}`, act));
  }

  private speak(): void {
    const { tree, selected, metric } = this.model;
    const total = tree.total(metric);
    const value = formatValue(total[selected], tree.metrics[metric].unit);
    const share = formatShare(total[0] > 0 ? total[selected] / total[0] : 0);
    byId("spoken").textContent =
      `${clip(tree.frame(selected).name, 120)}, ${value}, ${share} of ${wholeOf(tree, metric)}`;
  }

  private found(): string {
    const { model } = this;
    if (model.complaint !== "") return model.complaint;
    if (model.matches === null || model.metric < 0) return "";
    const count = model.matches.count(model.zoom);
    const share = formatShare(model.matches.share(model.zoom, model.tree.total(model.metric)));
    const whole =
      model.zoom === 0 ? wholeOf(model.tree, model.metric) : clip(model.tree.frame(model.zoom).name, 24);
    return count === 0 ? "no match" : `${formatCount(count)} frames, ${share} of ${whole}`;
  }

  /** `asStep`: Back leads to what was seen before; null: what follows says so. */
  private change(change: Partial<ViewState>, asStep: boolean | null = false): void {
    this.model.change(change);
    if (Object.keys(change).every((key) => key === "query" || key === "regex")) this.showMatches();
    else this.refresh(false);
    if (asStep !== null) this.remember(asStep);
  }

  /** Each letter that is typed comes here: no more is drawn than what it changes. */
  private showMatches(): void {
    const { model } = this;
    this.chart.mark({ hit: model.matches?.hit ?? null });
    this.walked = null;
    this.toolbar.show(model.state, model.tree, this.found());
  }

  private zoomTo(zoom: number, selected: number): void {
    const moved = zoom !== this.model.zoom;
    this.model.goTo(zoom, selected);
    this.tooltip.hide();
    this.remember(moved);
    this.showZoom(true);
    this.showSelected();
  }

  private select(node: number): void {
    this.model.goTo(this.model.zoom, node);
    this.showSelected();
    this.reveal(node);
    this.remember(false);
  }

  /** Those who call a frame; of the frame on top: back to the tree as it was recorded. */
  private turn(node: number): void {
    const { model } = this;
    const top = model.tree.role === "callers" && node === 0;
    this.change({ callers: top ? "" : identity(model.tree.frame(node)) }, true);
  }

  private focusOn(node: number): void {
    const { model } = this;
    const frame = identity(model.tree.frame(node));
    this.change({ focus: model.state.focus === frame ? "" : frame }, true);
  }

  private hide(node: number): void {
    const { model } = this;
    if (node === 0) return;
    this.change({ hide: withLine(model.state.hide, identity(model.tree.frame(node))) }, true);
  }

  private goToWhole(): void {
    this.change({ step: "", callers: "" }, null);
    this.goTo(0);
  }

  /** The bytes at its peak where those are looked at, its node elsewhere; or one step of it alone. */
  private goToPhase(name: string, step = ""): void {
    const { model } = this;
    if (model.state.step !== step || model.state.callers !== "") this.change({ step, callers: "" }, null);
    if (model.tree.held) {
      const now = peakOf(model.tree.metrics[model.metric]);
      const same = model.tree.metrics.find((metric) => {
        const peak = peakOf(metric);
        return peak?.phase === name && peak.onDevice === now?.onDevice;
      });
      if (same !== undefined) return this.change({ metric: same.name });
      this.showTime();
    }
    this.goTo(model.tree.children(0).find((child) => model.tree.frame(child).name === name) ?? 0);
  }

  /** A place that Back leads away from, though the zoom may be the same. */
  private goTo(node: number): void {
    this.model.goTo(node, node);
    this.remember(true);
    this.showZoom(true);
    this.showSelected();
  }

  /** The graph of a peak's bytes, brought into sight. */
  private open(metric: string): void {
    this.change({ metric });
    this.zoomTo(0, 0);
    this.bringGraph();
  }

  /**
   * The flame graph of what changed, with the widths of one run, brought into sight. Layers as one: what is
   * noise in each of thirty may be none in all of them.
   */
  private lookAtChange(suffix: string): void {
    const { model } = this;
    const now = model.tree.held ? "wall_ns" : baseOf(model.state.metric);
    const known = model.metrics.some(({ name }) => name === now + suffix);
    this.change({ metric: (known ? now : "wall_ns") + suffix, colour: "change", merge: true });
    this.bringGraph();
  }

  /** Findings and phases are places in the run. */
  private showTime(): void {
    const widest = this.model.metrics[0]?.name;
    if (this.model.tree.held && widest !== undefined) this.change({ metric: widest });
    const { step, hide, focus, callers } = this.model.state;
    if ([step, hide, focus, callers].some((text) => text !== ""))
      this.change({ step: "", hide: "", focus: "", callers: "" });
  }

  private bringGraph(): void {
    byId("graph").scrollIntoView({ block: "start" });
    this.chart.element.focus({ preventScroll: true });
  }

  /** A frame of a finding: searched for, its phase across the width, and the graph brought into sight. */
  private goToPlace(words: string): void {
    const { model } = this;
    this.showTime();
    const widest = model.metrics[0]?.name;
    const { phase, node, query } = placeOf(model.tree, words, model.metric);
    this.change({ query, regex: false });
    if (node >= 0 && widest !== undefined && !(model.tree.total(model.metric)[node] > 0))
      this.change({ metric: widest });
    model.goTo(phase, node < 0 ? phase : node);
    this.showZoom(false);
    this.showSelected();
    if (node >= 0) this.reveal(node);
    this.remember(true);
    this.bringGraph();
  }

  private reveal(node: number): void {
    this.chart.reveal(node, this.model.tree.depth[node]);
  }

  private remember(asStep: boolean): void {
    this.address.remember(this.fragment, asStep);
  }

  private walk(by: 1 | -1): void {
    const { model } = this;
    const walked = (this.walked ??= model.matches?.ranked(model.zoom, model.tree.total(model.metric)) ?? []);
    const count = walked.length;
    if (count === 0) return;
    const at = walked.indexOf(this.model.selected);
    const next = at < 0 ? (by > 0 ? 0 : count - 1) : (at + by + count) % count;
    this.select(walked[next]);
    this.toolbar.say(`${formatCount(next + 1)} / ${formatCount(count)}, ${this.found()}`);
  }

  private hover(node: number, hidden: number, event: PointerEvent | null): void {
    const { tree, metric, zoom } = this.model;
    this.chart.mark({ hovered: node });
    if (event === null || metric < 0) return this.tooltip.hide();
    if (node < 0) return this.tooltip.showHidden(hidden, event);
    this.tooltip.showNode(tree, node, metric, zoom, event);
  }

  /** Paper is light, and nothing on it can be opened. */
  private onPaper(printed: boolean): void {
    if (printed) this.sections.drawAll();
    if (printed) document.querySelectorAll("details").forEach((item) => (item.open = true));
    this.theme.print(printed);
    this.later.finish();
    this.chart.drawNow();
  }

  private recolour(): void {
    this.chart.recolour(this.theme.ink());
    this.drawLimit();
    this.memory.recolour(this.theme.scheme);
    this.sections.recolour(this.theme.scheme);
    this.refresh(false);
  }

  private drawLimit(): void {
    drawLimit(byId("limit"), this.facts, this.theme.scheme);
  }

  private nextColour(): void {
    const { tree, state } = this.model;
    const offered = this.modes.filter((mode) => mode.offered(tree));
    const next = offered[(offered.indexOf(modeOf(state.colour, tree, this.modes)) + 1) % offered.length];
    this.change({ colour: next.name });
  }
}
