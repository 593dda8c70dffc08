/** Colours as numbers that a bitmap holds. */

const OPAQUE = 0xff000000;

/** A colour of CSS as red, green and blue of 0 to 255 each, in a pixel's order: the lowest byte is red. */
export class Palette {
  private readonly known = new Map<string, number>();
  private readonly context: CanvasRenderingContext2D | null;
  /** By index, as `index` gave them. */
  private pixels: number[] = [];
  private unknown: string[] = [];

  constructor() {
    this.context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  }

  /** A colour's place in `resolve`'s list. */
  index(colour: string): number {
    let index = this.known.get(colour);
    if (index === undefined) {
      index = this.known.size;
      this.known.set(colour, index);
      this.unknown.push(colour);
    }
    return index;
  }

  /** The pixels of all colours that were asked for: a browser reads them, which costs least for all at once. */
  resolve(): readonly number[] {
    const { context, unknown } = this;
    if (unknown.length === 0 || context === null) return this.pixels;
    context.canvas.width = unknown.length;
    context.canvas.height = 1;
    unknown.forEach((colour, at) => {
      context.fillStyle = colour;
      context.fillRect(at, 0, 1, 1);
    });
    const { data } = context.getImageData(0, 0, unknown.length, 1);
    unknown.forEach((_, at) => this.pixels.push(pixelOf(data[at * 4], data[at * 4 + 1], data[at * 4 + 2])));
    this.unknown = [];
    return this.pixels;
  }
}

function pixelOf(red: number, green: number, blue: number): number {
  return (OPAQUE | (blue << 16) | (green << 8) | red) >>> 0;
}

/** `over` laid over `under` with an opacity of 0 to 1. */
export function blend(under: number, over: number, opacity: number): number {
  const red = mix(under & 255, over & 255, opacity);
  const green = mix((under >>> 8) & 255, (over >>> 8) & 255, opacity);
  const blue = mix((under >>> 16) & 255, (over >>> 16) & 255, opacity);
  return pixelOf(red, green, blue);
}

function mix(under: number, over: number, opacity: number): number {
  return Math.round(under + (over - under) * opacity);
}
