/** What may come a frame or two later: one piece a frame, so that no frame has to wait for all of it. */

interface Piece {
  readonly act: () => void;
  readonly whenStill: boolean;
}

export class Later {
  private readonly pieces = new Map<string, Piece>();
  private readonly afterFrame = new MessageChannel();
  private readonly waiters: (() => void)[] = [];
  private isAsked = false;

  /** `isStill`: whether nothing moves, so that there is time for what isn't urgent. */
  constructor(private readonly isStill: () => boolean) {
    this.afterFrame.port1.onmessage = () => this.next();
  }

  /** What is asked for again before its turn is done once. */
  do(name: string, act: () => void): void {
    this.add(name, { act, whenStill: false });
  }

  doWhenStill(name: string, act: () => void): void {
    this.add(name, { act, whenStill: true });
  }

  /** Once nothing waits. */
  whenDone(act: () => void): void {
    this.waiters.push(act);
    this.ask();
  }

  /** All of it now. */
  finish(): void {
    while (this.pieces.size > 0) this.runFirst(true);
  }

  private add(name: string, piece: Piece): void {
    this.pieces.set(name, piece);
    this.ask();
  }

  /** The message comes after the frame has left. */
  private ask(): void {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => this.afterFrame.port2.postMessage(null));
  }

  private next(): void {
    this.isAsked = false;
    const isStill = this.isStill();
    this.runFirst(isStill);
    if (isStill && this.pieces.size === 0) this.waiters.splice(0).forEach((act) => act());
    if (this.pieces.size > 0 || this.waiters.length > 0) this.ask();
  }

  private runFirst(isStill: boolean): void {
    for (const [name, { act, whenStill }] of this.pieces) {
      if (whenStill && !isStill) continue;
      this.pieces.delete(name);
      return act();
    }
  }
}
