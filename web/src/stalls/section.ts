/** Why kernels wait: by phase, by kernel, and what each reason means. */

import { stallColour, type Scheme } from "../colour";
import { button, el, styled } from "../dom";
import { clip, formatCount, formatNs, formatShare } from "../format";
import { header, type Section, type SectionContext, type SectionKind } from "../section";
import { Grid, type GridState } from "../tables/grid";
import { decodeStalls, type Kernel, type Part, type Phase, type Stalls } from "./model";

const FIRST_KERNELS = 12;
/** Of a kernel's samples: rarer reasons are in the table alone. */
const LEAST_REASON = 0.01;
const BOUND: Record<string, string> = {
  memory: "memory-bound",
  arithmetic: "arithmetic-bound",
  issue: "issue-bound",
  latency: "latency-bound",
};

export const stallsSection: SectionKind = {
  id: "stalls",
  title: "Stalls",
  make: (context) => new StallsView(context),
};

class StallsView implements Section {
  private readonly stalls: Stalls;
  private readonly choices = el("div", { class: "choice", role: "group", "aria-label": "Phase" });
  private readonly stage = el("div");
  private readonly table: HTMLElement;
  private scheme: Scheme = "light";
  private order: GridState = { column: "", ascending: false, filter: "" };

  constructor(private readonly context: SectionContext) {
    this.stalls = decodeStalls(context.data);
    const grid = new Grid(this.stalls.table, { changed: (state) => this.sort(state) });
    this.table = el("details", {}, el("summary", {}, "All kernels by reason, as a table"), grid.element);
    this.table.addEventListener("toggle", () => grid.show(this.order));
    context.place.append(
      header("stalls", "Why kernels wait", this.choices),
      this.stage,
      this.table,
      ...this.stalls.notes.map((note) => el("p", { class: "aside" }, `${note}.`)),
    );
  }

  recolour(scheme: Scheme): void {
    this.scheme = scheme;
    this.restore();
  }

  restore(): void {
    const { phases } = this.stalls;
    const { phase } = this;
    this.choices.replaceChildren(
      ...phases.map(({ name }) =>
        button(name, { "aria-pressed": String(name === phase?.name), "data-phase": name }, () =>
          this.choose(name),
        ),
      ),
    );
    this.choices.hidden = phases.length < 2;
    if (phase !== null) this.stage.replaceChildren(...this.ofPhase(phase));
  }

  private sort(state: GridState): void {
    this.order = state;
  }

  /** Decode is what most tokens wait for. */
  private get phase(): Phase | null {
    const { phases } = this.stalls;
    const wanted = this.context.state.get("phase");
    const named = (name: string): Phase | undefined => phases.find((one) => one.name === name);
    return named(wanted) ?? named("decode") ?? phases[0] ?? null;
  }

  private choose(phase: string): void {
    this.context.state.set({ phase });
    this.restore();
    this.choices.querySelector<HTMLElement>(`[data-phase="${CSS.escape(phase)}"]`)?.focus();
  }

  private ofPhase(phase: Phase): HTMLElement[] {
    const kernels = this.stalls.kernels.filter((kernel) => kernel.phase === phase.name);
    const items = kernels.map((kernel) => this.kernel(kernel, phase));
    const rest = items.slice(FIRST_KERNELS);
    const more =
      rest.length === 0
        ? []
        : [
            el(
              "details",
              { class: "more" },
              el("summary", {}, `${formatCount(rest.length)} more kernels`),
              ...rest,
            ),
          ];
    return [
      el("p", { class: "aside" }, aboutPhase(phase)),
      this.bar(phase.groups, `Kernels of ${phase.name}`, "stall-bar whole"),
      this.key(phase.groups),
      el("div", { class: "stall-kernels" }, ...items.slice(0, FIRST_KERNELS), ...more),
    ];
  }

  private swatch(group: string): HTMLElement {
    return styled(el("i", { class: "swatch" }), "background", stallColour(group, this.scheme));
  }

  private bar(parts: readonly Part[], label: string, kind = "stall-bar"): HTMLElement {
    const words = parts.map(({ name, share }) => `${name} ${formatShare(share)}`);
    const bar = el("div", { class: kind, role: "img", "aria-label": `${label}: ${words.join(", ")}` });
    for (const { group, name, share } of parts) {
      const piece = el("span", { title: `${name} ${formatShare(share)}` });
      styled(piece, "background", stallColour(group, this.scheme));
      bar.append(styled(piece, "flex-grow", String(share)));
    }
    return bar;
  }

  private key(parts: readonly Part[]): HTMLElement {
    const items = parts.map(({ name, share }) =>
      el("span", { class: "item" }, this.swatch(name), name, el("small", {}, formatShare(share))),
    );
    return el("p", { class: "stall-key" }, ...items);
  }

  private kernel(kernel: Kernel, phase: Phase): HTMLElement {
    const share = phase.busyNs > 0 ? formatShare(kernel.deviceNs / phase.busyNs) : "";
    const bound = kernel.bound === null ? "" : (BOUND[kernel.bound] ?? kernel.bound);
    const summary = el(
      "summary",
      {},
      el("span", { class: "name", title: clip(kernel.fullName || kernel.name, 400) }, clip(kernel.name, 80)),
      el("span", { class: "time" }, formatNs(kernel.deviceNs), el("small", {}, share)),
      el("span", { class: "bound" }, bound),
      this.bar(kernel.groups, kernel.name),
    );
    const details = el("details", { class: "stall-kernel" }, summary);
    // A page has hundreds of kernels: the words of one are made when somebody asks for them.
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(this.reasons(kernel, phase));
    });
    return details;
  }

  private reasons(kernel: Kernel, phase: Phase): HTMLElement {
    const list = el("dl", { class: "stall-reasons" });
    for (const { name, group, share } of kernel.reasons) {
      if (share < LEAST_REASON) continue;
      const words = this.stalls.words.get(name);
      list.append(
        el("dt", {}, this.swatch(group), el("b", {}, name), ` ${formatShare(share)}`, el("small", {}, group)),
        el(
          "dd",
          {},
          words?.meaning ?? "",
          words === undefined ? null : el("span", { class: "helps" }, `What helps: ${words.helps}`),
        ),
      );
    }
    const lost =
      kernel.lost === null
        ? null
        : el(
            "p",
            { class: "aside" },
            `In ${formatShare(kernel.lost)} of its samples the scheduler issued nothing.`,
          );
    const show = button("Show in the graph", {}, () =>
      this.context.wishes.goToFrame(`${phase.name} › ${kernel.name}`),
    );
    return el("div", { class: "stall-body" }, lost, list, el("p", { class: "actions" }, show));
  }
}

function aboutPhase({ name, samples, busyNs, explained }: Phase): string {
  const covered = explained === null ? "" : `, ${formatShare(explained)} of it with reasons`;
  return (
    `The GPU works ${formatNs(busyNs)} in ${name}${covered}: ${formatCount(samples)} samples. Each kernel's ` +
    "time is divided by its own samples."
  );
}
