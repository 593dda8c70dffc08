/** Where in the tree a finding's frame is: "decode › model.layers.*.self_attn › aten::cat". */

import { generalPath } from "./merge";
import type { CallTree, Frame } from "./tree";

const STEP = " › ";

export interface Place {
  /** The phase that the frame is in; the run where the tree has none of that name. */
  readonly phase: number;
  /** The heaviest node that the words tell; -1 where the tree has none. */
  readonly node: number;
  /** What finds it, and its like, by name. */
  readonly query: string;
}

/** One pass over the nodes: names may hold what stands between names, so words are made, not taken apart. */
export function placeOf(tree: CallTree, words: string, metric: number): Place {
  const general = tree.instances !== null || words.includes("*");
  const wanted = general ? generalPath(words) : words;
  const total = tree.total(metric);
  const told = new Array<Told>(tree.size);
  let best = -1;
  for (let node = 0; node < tree.size; node++) {
    const frame = tree.frame(node);
    const own = (told[node] = below(told[tree.parent[node]] ?? NOWHERE, frame));
    if (own.phase === "" || !words.startsWith(own.phase)) continue;
    const said = inWords(own, frame);
    if ((general ? generalPath(said) : said) !== wanted) continue;
    if (best < 0 || total[node] > total[best]) best = node;
  }
  if (best >= 0) return { phase: tree.nearest(best, "phase"), node: best, query: queryOf(tree, best) };
  const [first] = words.split(STEP);
  const phase = tree.children(0).find((node) => tree.frame(node).name === first) ?? 0;
  const last = words.split(STEP).pop() ?? words;
  return { phase, node: -1, query: last.replace(/ \([^()]*:\w+\)$/, "") };
}

interface Told {
  readonly phase: string;
  readonly module: string;
  readonly operator: string;
  readonly code: string;
}

const NOWHERE: Told = { phase: "", module: "", operator: "", code: "" };

function below(above: Told, frame: Frame): Told {
  switch (frame.kind) {
    case "phase":
      return { ...NOWHERE, phase: frame.name };
    case "module":
      return { ...above, module: frame.module ?? above.module };
    case "op":
      return { ...above, operator: frame.name };
    case "python":
      return { ...above, code: inFile(frame) };
    default:
      return above;
  }
}

function inWords(told: Told, frame: Frame): string {
  const last = told.operator || told.code || inFile(frame);
  return [told.phase, told.module, last].filter((part) => part !== "").join(STEP);
}

function inFile({ name, full, file, line }: Frame): string {
  return file === null || file === "" ? (full ?? name) : `${full ?? name} (${file}:${line ?? "None"})`;
}

/** An operator's or a function's own name, though what is heaviest may be a frame that it calls. */
function queryOf(tree: CallTree, node: number): string {
  const operator = tree.nearest(node, "op");
  const code = operator >= 0 ? operator : tree.nearest(node, "python");
  const frame = tree.frame(code >= 0 ? code : node);
  return frame.name;
}
