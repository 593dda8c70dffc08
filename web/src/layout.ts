/** Where the boxes of a flame graph stand. Pure: knows neither a canvas nor what a node is. */

/** What a flame graph draws: any tree whose nodes are numbers and whose children fit into their parent. */
export interface FlameSource {
  readonly root: number;
  total(node: number): number;
  /** What its width stands for: its total, or its children's where they are more than that. */
  spread(node: number): number;
  /** In the order in which they are drawn; -1: it has none, or there is no other. */
  firstChild(node: number): number;
  nextSibling(node: number): number;
  /** -1 above the root. */
  parent(node: number): number;
  label(node: number): FlameLabel;
  colour(node: number): string;
}

export interface FlameLabel {
  readonly name: string;
  /** Said instead of the name where there is too little room for it. */
  readonly short: string;
  /** Said after the name where there is room. */
  readonly note: string;
}

/** A part of the root's width, as fractions of it. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Box {
  /** -1: several siblings, each too narrow to draw. */
  readonly node: number;
  readonly depth: number;
  readonly x: number;
  readonly width: number;
  /** How many siblings stand in a box without a node. */
  readonly hidden: number;
}

const ROOM = 1024;

/** Boxes by column, parents before children: an object for each of thousands would be garbage each frame. */
export class Boxes {
  length = 0;
  node = new Int32Array(ROOM);
  depth = new Int32Array(ROOM);
  hidden = new Int32Array(ROOM);
  x = new Float64Array(ROOM);
  width = new Float64Array(ROOM);

  add(node: number, depth: number, x: number, width: number, hidden: number): void {
    const at = this.length++;
    if (at === this.node.length) this.grow();
    this.node[at] = node;
    this.depth[at] = depth;
    this.x[at] = x;
    this.width[at] = width;
    this.hidden[at] = hidden;
  }

  at(index: number): Box {
    const [node, depth, hidden] = [this.node[index], this.depth[index], this.hidden[index]];
    return { node, depth, hidden, x: this.x[index], width: this.width[index] };
  }

  list(): Box[] {
    return Array.from({ length: this.length }, (_, index) => this.at(index));
  }

  private grow(): void {
    const larger = <T extends Int32Array | Float64Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    const size = this.node.length * 2;
    this.node = larger(this.node, new Int32Array(size));
    this.depth = larger(this.depth, new Int32Array(size));
    this.hidden = larger(this.hidden, new Int32Array(size));
    this.x = larger(this.x, new Float64Array(size));
    this.width = larger(this.width, new Float64Array(size));
  }
}

export interface Frame2D {
  readonly view: Span;
  readonly width: number;
  /** Rows above it are walked through, and their boxes left out. */
  readonly minDepth?: number;
  readonly maxDepth: number;
  /** Narrower boxes are not drawn, in pixels. */
  readonly minWidth: number;
}

/** Boxes that can be seen; `boxes`: where they go, in place of what it holds. */
export function layout(source: FlameSource, frame: Frame2D, boxes = new Boxes()): Boxes {
  boxes.length = 0;
  if (!(source.total(source.root) > 0)) return boxes;
  const { view, minWidth, minDepth = 0, maxDepth } = frame;
  const scale = frame.width / (view.to - view.from);
  // Node, depth, begin and share of each box that waits, one behind the other: tuples would be garbage each frame.
  const waiting: number[] = [source.root, 0, 0, 1];
  while (waiting.length > 0) {
    const share = waiting.pop() as number;
    const from = waiting.pop() as number;
    const depth = waiting.pop() as number;
    const node = waiting.pop() as number;
    if (depth >= minDepth) boxes.add(node, depth, (from - view.from) * scale, share * scale, 0);
    if (depth >= maxDepth) continue;
    let child = source.firstChild(node);
    if (child < 0) continue;
    const unit = share / source.spread(node);
    let at = from;
    let hidden = 0;
    let hiddenFrom = from;
    const below = depth + 1;
    for (; child >= 0; child = source.nextSibling(child)) {
      if (at >= view.to) break;
      const part = Math.max(0, source.total(child)) * unit;
      if (part > 0 && at + part > view.from) {
        if (part * scale >= minWidth) {
          if (hidden > 0) rest(boxes, frame, below, hiddenFrom, at, hidden);
          hidden = 0;
          waiting.push(child, below, at, part);
        } else {
          if (hidden === 0) hiddenFrom = at;
          hidden++;
        }
      }
      at += part;
    }
    if (hidden > 0) rest(boxes, frame, below, hiddenFrom, at, hidden);
  }
  return boxes;
}

/** One box for siblings that are each too narrow. */
function rest(boxes: Boxes, frame: Frame2D, depth: number, from: number, to: number, hidden: number): void {
  const scale = frame.width / (frame.view.to - frame.view.from);
  const width = (to - from) * scale;
  if (width >= frame.minWidth && depth >= (frame.minDepth ?? 0))
    boxes.add(-1, depth, (from - frame.view.from) * scale, width, hidden);
}

/** The part of the root's width that a node takes. */
export function locate(source: FlameSource, node: number): Span {
  const path = [];
  for (let at = node; at !== source.root && at >= 0; at = source.parent(at)) path.push(at);
  let from = 0;
  let share = 1;
  let parent = source.root;
  for (const step of path.reverse()) {
    const unit = share / source.spread(parent);
    for (
      let child = source.firstChild(parent);
      child >= 0 && child !== step;
      child = source.nextSibling(child)
    )
      from += Math.max(0, source.total(child)) * unit;
    share = Math.max(0, source.total(step)) * unit;
    parent = step;
  }
  return { from, to: from + share };
}

/** A span kept inside the root, never narrower than a billionth of it. */
export function within(span: Span): Span {
  const width = Math.min(1, Math.max(1e-9, span.to - span.from));
  const from = Math.min(1 - width, Math.max(0, span.from));
  return { from, to: from + width };
}
