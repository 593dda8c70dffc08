/** What keys do: letters anywhere on the page, arrows where the graph has the focus. */

import type { Model } from "./model";
import { linesOf } from "./pattern";
import type { ViewState } from "./state";
import type { TreeSource } from "./source";

/** What keys ask of the page. */
export interface Commands {
  readonly model: Model;
  /** The graph as it is drawn. */
  source(): TreeSource;
  change(change: Partial<ViewState>, asStep?: boolean): void;
  select(node: number): void;
  zoomTo(zoom: number, selected: number): void;
  walk(by: 1 | -1): void;
  callersOf(node: number): void;
  focusOn(node: number): void;
  hide(node: number): void;
  nextColour(): void;
  toggleTheme(): void;
  search(): void;
  help(): void;
}

type Act = () => void;

export class Keys {
  /** Keys are heard unless `paused`, as below a dialog. */
  constructor(
    private readonly commands: Commands,
    private readonly graph: HTMLElement,
    paused: () => boolean,
  ) {
    document.addEventListener("keydown", (event) => {
      if (!paused()) this.key(event);
    });
  }

  private key(event: KeyboardEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target?.closest("input, select, textarea") != null) return;
    const inGraph = target === this.graph || target === document.body;
    const act = this.letter(event.key) ?? (inGraph ? this.arrow(event.key) : null);
    if (act === null) return;
    event.preventDefault();
    act();
  }

  private letter(key: string): Act | null {
    const { commands } = this;
    const { state, selected } = commands.model;
    const actions: Record<string, Act> = {
      "/": () => commands.search(),
      "?": () => commands.help(),
      n: () => commands.walk(1),
      N: () => commands.walk(-1),
      o: () => commands.change({ order: state.order === "call" ? "heavy" : "call" }),
      i: () => commands.change({ shape: state.shape === "icicle" ? "flame" : "icicle" }),
      c: () => commands.nextColour(),
      v: () => commands.callersOf(selected),
      f: () => commands.focusOn(selected),
      h: () => commands.hide(selected),
      H: () => commands.change({ hide: linesOf(state.hide).slice(0, -1).join("\n") }, true),
      m: () => commands.change({ merge: !state.merge }),
      t: () => commands.toggleTheme(),
      Escape: () => commands.zoomTo(0, 0),
    };
    return actions[key] ?? null;
  }

  private arrow(key: string): Act | null {
    const { commands } = this;
    const { model } = commands;
    const source = commands.source();
    const { selected } = model;
    const up = model.state.shape === "flame" ? "ArrowDown" : "ArrowUp";
    const down = up === "ArrowUp" ? "ArrowDown" : "ArrowUp";
    const parent = source.parent(selected);
    const sibling = (by: number): void => {
      const row = parent < 0 ? [selected] : source.children(parent).filter((node) => source.total(node) > 0);
      const next = row[row.indexOf(selected) + by];
      if (next !== undefined) commands.select(next);
    };
    const actions: Record<string, Act> = {
      [up]: () => parent >= 0 && commands.select(parent),
      [down]: () => {
        const children = source.children(selected);
        const heaviest = children.reduce(
          (best, node) => (source.total(node) > source.total(best) ? node : best),
          children[0],
        );
        if (heaviest !== undefined && source.total(heaviest) > 0) commands.select(heaviest);
      },
      ArrowLeft: () => sibling(-1),
      ArrowRight: () => sibling(1),
      Enter: () => commands.zoomTo(selected, selected),
      Backspace: () => {
        const above = source.parent(model.zoom);
        if (above >= 0) commands.zoomTo(above, above);
      },
    };
    return actions[key] ?? null;
  }
}
