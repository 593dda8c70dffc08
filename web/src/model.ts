/** What is looked at: the tree as the state asks for it, and places in it. No drawing. */

import type { Report } from "./data";
import { Lenses, type Seen } from "./lens";
import { canBeWidth, inOrder, stepOf, type Step } from "./metrics";
import { Ranking, type Ranked } from "./rank";
import { Matches, matcher } from "./search";
import { fromFragment, nodeAt, pathOf, START, toFragment, type ViewState } from "./state";
import type { CallTree, Metric } from "./tree";

export class Model {
  state: ViewState;
  /** The tree in use, as recorded or through lenses. */
  tree: CallTree;
  /** As recorded: the run's, or that of bytes that are held. */
  private base: CallTree;
  zoom = 0;
  selected = 0;
  matches: Matches | null = null;
  /** Why there are no matches, where the query is wrong. */
  complaint = "";
  /** Metrics that can be a width: they add up, and there is some of them. Time comes first. */
  readonly metrics: readonly Metric[];
  private readonly lenses = new Lenses();
  private readonly rankings = new WeakMap<CallTree, Ranking>();

  constructor(readonly report: Report) {
    this.tree = this.base = report.tree;
    this.metrics = this.widths();
    this.state = { ...START, metric: this.metrics[0]?.name ?? "" };
  }

  private widths(): Metric[] {
    return this.bases.flatMap((tree) =>
      inOrder(tree.metrics.filter((metric, index) => canBeWidth(metric) && tree.total(index)[0] > 0)),
    );
  }

  private get bases(): CallTree[] {
    const held = this.report.memory?.held ?? null;
    return held === null ? [this.report.tree] : [this.report.tree, held];
  }

  /** Single steps of the run that were traced, in order. */
  get steps(): Step[] {
    const steps = new Map<string, Step>();
    for (const metric of this.report.tree.metrics) {
      const step = stepOf(metric);
      if (step !== null && !steps.has(step.name)) steps.set(step.name, step);
    }
    return [...steps.values()];
  }

  /** Index of the metric in use, of the chosen step if there is one; -1 where the tree has none. */
  get metric(): number {
    return this.inStep(this.state.metric);
  }

  get calls(): number {
    return this.inStep("calls");
  }

  private inStep(name: string): number {
    const { step } = this.state;
    return this.tree.metric(step === "" ? name : `${name}@${step}`);
  }

  /** What is wrong with how the tree is looked through; empty where nothing is. */
  get trouble(): string {
    return this.seen.complaint;
  }

  private get seen(): Seen {
    return this.lenses.of(this.base, this.state);
  }

  get ranking(): Ranking {
    let ranking = this.rankings.get(this.tree);
    if (ranking === undefined) {
      ranking = new Ranking(this.tree);
      this.rankings.set(this.tree, ranking);
    }
    return ranking;
  }

  top(): readonly Ranked[] {
    return this.metric < 0 ? [] : this.ranking.rows(this.zoom, this.metric, this.calls);
  }

  change(change: Partial<ViewState>): void {
    const before = this.state;
    const old = this.seen;
    this.state = { ...before, ...change };
    const base = this.bases.find((tree) => tree.metric(this.state.metric) >= 0) ?? this.report.tree;
    const moved = base !== this.base;
    this.base = base;
    this.agree(change);
    const { seen } = this;
    if (seen.tree !== this.tree) this.moveTo(moved ? null : old, seen);
    if (
      seen !== old ||
      this.state.query !== before.query ||
      this.state.regex !== before.regex ||
      (this.matches === null && this.state.query !== "")
    )
      this.search();
  }

  /** A metric that a step does not have and a step that has not the metric: what was asked for last stays. */
  private agree(change: Partial<ViewState>): void {
    const { step, metric } = this.state;
    const has = (name: string): boolean => this.base.metric(`${name}@${step}`) >= 0;
    if (step === "" || has(metric)) return;
    const other = change.step === undefined ? undefined : this.metrics.find(({ name }) => has(name))?.name;
    this.state = other === undefined ? { ...this.state, step: "" } : { ...this.state, metric: other };
  }

  goTo(zoom: number, selected: number): void {
    this.zoom = zoom;
    this.selected = selected;
  }

  fragment(): string {
    const inside = this.selected !== this.zoom && this.tree.contains(this.zoom, this.selected);
    return toFragment({
      ...this.state,
      metric: this.state.metric === this.metrics[0]?.name ? "" : this.state.metric,
      zoom: pathOf(this.tree, this.zoom),
      at: inside ? pathOf(this.tree, this.selected, this.zoom) : "",
    });
  }

  restore(fragment: string): void {
    const wanted = fromFragment(fragment);
    const known = this.metrics.some(({ name }) => name === wanted.metric);
    this.change({
      ...wanted,
      zoom: "",
      at: "",
      metric: known ? wanted.metric : (this.metrics[0]?.name ?? ""),
    });
    this.zoom = nodeAt(this.tree, wanted.zoom);
    this.selected = nodeAt(this.tree, wanted.at, this.zoom);
  }

  /** Places are kept where both trees have them; null: another recording's tree has none of them. */
  private moveTo(old: Seen | null, seen: Seen): void {
    const move = (node: number): number =>
      old === null ? 0 : Math.max(0, seen.to[this.heaviest(old, node)] ?? 0);
    const turned = old?.tree.role !== seen.tree.role;
    this.selected = move(this.selected);
    this.zoom = turned ? 0 : move(this.zoom);
    this.tree = seen.tree;
  }

  /** Of the recorded nodes that stand behind one that is seen. */
  private heaviest(seen: Seen, wanted: number): number {
    const total = this.base.total(this.base.metric(this.state.metric));
    let best = 0;
    for (let node = 0; node < this.base.size; node++) {
      if (seen.to[node] === wanted && (best === 0 || total[node] > total[best])) best = node;
    }
    return best;
  }

  private search(): void {
    const test = matcher({ text: this.state.query, regex: this.state.regex });
    this.complaint = typeof test === "string" ? test : "";
    this.matches = typeof test === "function" ? new Matches(this.tree, test) : null;
  }
}
