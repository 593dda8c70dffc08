/** What is looked at: the tree as the state asks for it, and places in it. No drawing. */

import type { Report } from "./data";
import { mergeLayers, type Merged } from "./merge";
import { canBeWidth, inOrder } from "./metrics";
import { Ranking, type Ranked } from "./rank";
import { Matches, matcher } from "./search";
import { fromFragment, nodeAt, pathOf, START, toFragment, type ViewState } from "./state";
import type { CallTree, Metric } from "./tree";

export class Model {
  state: ViewState;
  /** The tree in use, as recorded or with merged layers. */
  tree: CallTree;
  /** As recorded: the run's, or that of bytes that are held. */
  private base: CallTree;
  zoom = 0;
  selected = 0;
  matches: Matches | null = null;
  /** Why there are no matches, where the query is wrong. */
  complaint = "";
  private readonly merged = new Map<CallTree, Merged>();
  private rankings = new Map<CallTree, Ranking>();

  constructor(readonly report: Report) {
    this.tree = this.base = report.tree;
    this.state = { ...START, metric: this.metrics[0]?.name ?? "" };
  }

  /** Metrics that can be a width: they add up, and there is some of them. Time comes first. */
  get metrics(): Metric[] {
    return this.bases.flatMap((tree) =>
      inOrder(tree.metrics.filter((metric, index) => canBeWidth(metric) && tree.total(index)[0] > 0)),
    );
  }

  private get bases(): CallTree[] {
    const held = this.report.memory?.held ?? null;
    return held === null ? [this.report.tree] : [this.report.tree, held];
  }

  /** Index of the metric in use; -1 where the tree has none. */
  get metric(): number {
    return this.tree.metric(this.state.metric);
  }

  get ranking(): Ranking {
    let ranking = this.rankings.get(this.tree);
    if (ranking === undefined) {
      ranking = new Ranking(this.tree);
      this.rankings.set(this.tree, ranking);
    }
    return ranking;
  }

  top(): Ranked[] {
    return this.metric < 0 ? [] : this.ranking.rows(this.zoom, this.metric, this.tree.metric("calls"));
  }

  change(change: Partial<ViewState>): void {
    const before = this.state;
    this.state = { ...before, ...change };
    const base = this.bases.find((tree) => tree.metric(this.state.metric) >= 0) ?? this.report.tree;
    const moved = base !== this.base;
    if (moved) this.startIn(base);
    else if (this.state.merge !== before.merge) this.remerge();
    if (
      moved ||
      ["merge", "query", "regex"].some(
        (key) => this.state[key as keyof ViewState] !== before[key as keyof ViewState],
      )
    ) {
      this.search();
    }
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

  /** Another tree has other places: what was looked at is not in it. */
  private startIn(base: CallTree): void {
    this.base = base;
    this.tree = this.state.merge ? this.mergedBase.tree : base;
    this.zoom = this.selected = 0;
  }

  private get mergedBase(): Merged {
    let merged = this.merged.get(this.base);
    if (merged === undefined) this.merged.set(this.base, (merged = mergeLayers(this.base)));
    return merged;
  }

  private remerge(): void {
    const tree = this.base;
    const { to } = this.mergedBase;
    const heaviest = (wanted: number): number => {
      const total = tree.total(this.metric);
      let best = -1;
      for (let node = 0; node < tree.size; node++) {
        if (to[node] === wanted && (best < 0 || total[node] > total[best])) best = node;
      }
      return Math.max(0, best);
    };
    const move = this.state.merge ? (node: number): number => to[node] : heaviest;
    this.zoom = move(this.zoom);
    this.selected = move(this.selected);
    this.tree = this.state.merge ? this.mergedBase.tree : tree;
  }

  private search(): void {
    const test = matcher({ text: this.state.query, regex: this.state.regex });
    this.complaint = typeof test === "string" ? test : "";
    this.matches = typeof test === "function" ? new Matches(this.tree, test) : null;
  }
}
