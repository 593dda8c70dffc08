/** Rows of boxes as a bitmap that is one pixel high for each row: thousands of slivers cost no more than a few boxes. */

import { blend } from "./palette";

/** Device pixels of one row each, stretched to the row's height where they are drawn. */
export class Ribbons {
  private readonly context: CanvasRenderingContext2D | null;
  private image: ImageData | null = null;
  private pixels = new Uint32Array(0);
  private width = 0;
  private rows = 0;
  private paper = 0;

  constructor() {
    this.context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  }

  /** Empty rows, all of them of one colour. */
  start(width: number, rows: number, paper: number): void {
    const { context } = this;
    if (context !== null && (this.image === null || width !== this.width || rows !== this.rows)) {
      context.canvas.width = this.width = width;
      context.canvas.height = this.rows = rows;
      this.image = context.createImageData(width, rows);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.paper = paper;
    this.pixels.fill(paper);
  }

  /** A box from a whole pixel on, of any width: where it ends within a pixel, it covers a part of it. */
  add(row: number, left: number, width: number, colour: number, opacity: number): void {
    if (row < 0 || row >= this.rows || left >= this.width) return;
    const { pixels, paper } = this;
    const begin = row * this.width + left;
    const whole = Math.floor(width);
    const end = Math.min(begin + whole, (row + 1) * this.width);
    const usual = opacity === 1 ? colour : blend(paper, colour, opacity);
    for (let at = begin; at < end; at++)
      pixels[at] = opacity === 1 || pixels[at] === paper ? usual : blend(pixels[at], colour, opacity);
    const part = width - whole;
    if (part > 0 && end < (row + 1) * this.width) pixels[end] = blend(pixels[end], colour, opacity * part);
  }

  /** In device pixels; the first row's top stands at `top`, each is `height` high. */
  draw(onto: CanvasRenderingContext2D, top: number, height: number): void {
    const { context, image, width, rows } = this;
    if (context === null || image === null) return;
    context.putImageData(image, 0, 0);
    onto.imageSmoothingEnabled = false;
    onto.drawImage(context.canvas, 0, 0, width, rows, 0, top, width, rows * height);
  }
}
