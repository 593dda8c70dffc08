/** What the section about stalls is given, and what it says of each kernel. Pure. */

import { decodeTable, type RawTable, type Table } from "../columns";
import { printable } from "../data";

interface RawStalls {
  table: RawTable;
  strings: string[];
  groups: [name: string, meaning: string, helps: string][];
  reasons: [name: string, group: string, meaning: string, helps: string][];
  phases: {
    phase: string;
    samples: number;
    busy_ns: number;
    explained_share: number | null;
    groups_ns: Record<string, number>;
  }[];
}

export interface Group {
  readonly name: string;
  readonly meaning: string;
  readonly helps: string;
}

export interface Reason extends Group {
  readonly group: string;
}

export interface Part {
  readonly name: string;
  readonly group: string;
  /** Of the kernel's samples, or of a phase's time. */
  readonly share: number;
}

export interface Kernel {
  readonly name: string;
  readonly fullName: string;
  readonly phase: string;
  readonly deviceNs: number;
  readonly bound: string | null;
  /** Of its samples: those in which nothing was issued; null where nobody counted them. */
  readonly lost: number | null;
  readonly groups: readonly Part[];
  /** The largest first. */
  readonly reasons: readonly Part[];
}

export interface Phase {
  readonly name: string;
  readonly samples: number;
  readonly busyNs: number;
  /** How much of the device's busy time has reasons. */
  readonly explained: number | null;
  readonly groups: readonly Part[];
}

export interface Stalls {
  readonly phases: readonly Phase[];
  /** By device time. */
  readonly kernels: readonly Kernel[];
  readonly words: ReadonlyMap<string, Reason>;
  readonly notes: readonly string[];
  /** Kernel by reason. */
  readonly table: Table;
}

const NOT_ISSUED = "_not_issued";

export function decodeStalls(data: unknown): Stalls {
  const raw = data as RawStalls;
  const table = decodeTable(raw.table, raw.strings.map(printable));
  const reasons = raw.reasons.map(([name, group, meaning, helps]) => ({ name, group, meaning, helps }));
  return {
    phases: raw.phases.map((phase) => ({
      name: printable(phase.phase),
      samples: phase.samples,
      busyNs: phase.busy_ns,
      explained: phase.explained_share,
      groups: partsOfPhase(phase.groups_ns),
    })),
    kernels: kernelsOf(
      table,
      raw.groups.map(([name]) => name),
      reasons,
    ),
    words: new Map(reasons.map((reason) => [reason.name, reason])),
    notes: table.notes,
    table: readable(table),
  };
}

function partsOfPhase(times: Record<string, number>): Part[] {
  const whole = Object.values(times).reduce((sum, own) => sum + own, 0);
  return Object.entries(times)
    .filter(([, own]) => own > 0)
    .map(([name, own]) => ({ name, group: name, share: own / whole }));
}

function kernelsOf(table: Table, groups: readonly string[], reasons: readonly Reason[]): Kernel[] {
  const columns = new Map(table.columns.map((column) => [column.name, column.values]));
  const text = (name: string, row: number): string | null => {
    const value = columns.get(name)?.[row];
    return typeof value === "string" ? value : null;
  };
  const number = (name: string, row: number): number | null => {
    const value = columns.get(name)?.[row];
    return typeof value === "number" ? value : null;
  };
  const kernels = [];
  for (let row = 0; row < table.count; row++) {
    const part = (column: string, name: string, group: string): Part => ({
      name,
      group,
      share: number(column, row) ?? 0,
    });
    kernels.push({
      name: text("name", row) ?? "(no name)",
      fullName: text("full_name", row) ?? "",
      phase: text("phase", row) ?? "",
      deviceNs: number("device_ns", row) ?? 0,
      bound: text("bound", row),
      lost: number("not_issued_share", row),
      groups: groups
        .map((group) => part(group.replaceAll(" ", "_"), group, group))
        .filter(({ share }) => share > 0),
      reasons: reasons
        .map(({ name, group }) => part(name, name, group))
        .filter(({ share }) => share > 0)
        .sort((a, b) => b.share - a.share),
    });
  }
  return kernels;
}

/** Reasons that no kernel has, and the lost part of each, are in the copied text alone. */
function readable(table: Table): Table {
  const columns = table.columns.map((column) => {
    const says = column.values.some((value) => value !== null && value !== 0);
    return { ...column, shown: column.shown && says && !column.name.endsWith(NOT_ISSUED) };
  });
  return { ...table, title: "Kernels by reason", columns };
}
