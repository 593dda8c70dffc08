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
  /** The recorded tree, or the one with merged layers. */
  tree: CallTree;
  zoom = 0;
  selected = 0;
  matches: Matches | null = null;
  /** Why there are no matches, where the query is wrong. */
  complaint = "";
  private merged: Merged | null = null;
  private rankings = new Map<CallTree, Ranking>();

  constructor(readonly report: Report) {
    this.tree = report.tree;
    this.state = { ...START, metric: this.metrics[0]?.name ?? "" };
  }

  /** Metrics that can be a width: they add up, and there is some of them. Time comes first. */
  get metrics(): Metric[] {
    const { tree } = this.report;
    return inOrder(tree.metrics.filter((metric, index) => canBeWidth(metric) && tree.total(index)[0] > 0));
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
    if (this.state.merge !== before.merge) this.remerge();
    if (
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

  private remerge(): void {
    const { tree } = this.report;
    this.merged ??= mergeLayers(tree);
    const { to } = this.merged;
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
    this.tree = this.state.merge ? this.merged.tree : tree;
  }

  private search(): void {
    const test = matcher({ text: this.state.query, regex: this.state.regex });
    this.complaint = typeof test === "string" ? test : "";
    this.matches = typeof test === "function" ? new Matches(this.tree, test) : null;
  }
}
