/** Marks a picture as simulated: a band along the lower edge with text in a bitmap font. */

import type { ImageBatch } from '../node.ts';

/** Dots between lines, and around the text. */
const LEADING = 3;
const MARGIN = 4;

/** Draws the lines into copies of the frames. Lines that are too long are cut off. */
export function drawCaption(image: ImageBatch, lines: readonly string[]): ImageBatch {
  return { ...image, frames: image.frames.map((frame) => captioned(image, frame, lines)) };
}

function captioned(image: ImageBatch, frame: Uint8Array, lines: readonly string[]): Uint8Array {
  const canvas = Uint8Array.from(frame);
  const dot = dotSize(image, lines);
  const band = Math.min(image.height, bandHeight(lines) * dot);
  const top = image.height - band;
  darken(canvas.subarray(top * image.width * image.channels));
  for (const [row, column] of litDots(lines)) {
    fillDot({ ...image, canvas }, { x: column * dot, y: top + row * dot, size: dot });
  }
  return canvas;
}

function bandHeight(lines: readonly string[]): number {
  return lines.length * (GLYPH_HEIGHT + LEADING) - LEADING + 2 * MARGIN;
}

/** As large as the longest line allows, but the band takes at most a ninth of the picture's height. */
function dotSize({ width, height }: ImageBatch, lines: readonly string[]): number {
  const longest = Math.max(...lines.map((line) => line.length));
  const fitting = width / (longest * GLYPH_ADVANCE + 2 * MARGIN);
  return Math.max(1, Math.floor(Math.min(fitting, height / 9 / bandHeight(lines))));
}

function darken(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at++) bytes[at] = (bytes[at] ?? 0) >> 2;
}

function* litDots(lines: readonly string[]): Generator<[row: number, column: number]> {
  for (const [lineAt, line] of lines.entries()) {
    const firstRow = MARGIN + lineAt * (GLYPH_HEIGHT + LEADING);
    for (const [at, character] of Array.from(line).entries()) {
      const firstColumn = MARGIN + at * GLYPH_ADVANCE;
      for (const [row, dots] of glyphOf(character).entries()) {
        for (const [column, lit] of dots.entries()) {
          if (lit) yield [firstRow + row, firstColumn + column];
        }
      }
    }
  }
}

function fillDot(
  { canvas, width, height, channels }: ImageBatch & { readonly canvas: Uint8Array },
  { x, y, size }: { readonly x: number; readonly y: number; readonly size: number },
): void {
  const right = Math.min(x + size, width);
  for (let row = y; row < Math.min(y + size, height) && x < right; row++) {
    canvas.fill(0xf2, (row * width + x) * channels, (row * width + right) * channels);
  }
}

/** Letters of five by seven dots, so that a mark can be drawn on machines without any fonts. */

/** Each sheet: a line with the characters, then their dots row by row, six columns to a character. */
const SHEETS = [
  `
  A     B     C     D     E     F     G     H     I     J     K     L     M
 ###  ####   ###  ####  ##### #####  ###  #   #  ###    ### #   # #     #   #
#   # #   # #   # #   # #     #     #   # #   #   #      #  #  #  #     ## ##
#   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # #
##### ####  #     #   # ####  ####  #  ## #####   #      #  ##    #     # # #
#   # #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   #
#   # #   # #   # #   # #     #     #   # #   #   #   #  #  #  #  #     #   #
#   # ####   ###  ####  ##### #      ###  #   #  ###   ##   #   # ##### #   #
`,
  `
  N     O     P     Q     R     S     T     U     V     W     X     Y     Z
#   #  ###  ####   ###  ####   #### ##### #   # #   # #   # #   # #   # #####
##  # #   # #   # #   # #   # #       #   #   # #   # #   # #   # #   #     #
##  # #   # #   # #   # #   # #       #   #   # #   # #   #  # #   # #     #
# # # #   # ####  #   # ####   ###    #   #   # #   # # # #   #     #     #
#  ## #   # #     # # # # #       #   #   #   #  # #  # # #  # #    #    #
#  ## #   # #     #  #  #  #      #   #   #   #  # #  ## ## #   #   #   #
#   #  ###  #      ## # #   # ####    #    ###    #   #   # #   #   #   #####
`,
  `
  0     1     2     3     4     5     6     7     8     9
 ###    #    ###   ###     #  #####   ##  #####  ###   ###
#   #  ##   #   # #   #   ##  #      #        # #   # #   #
#  ##   #       #     #  # #  ####  #        #  #   # #   #
# # #   #      #    ##  #  #      # ####    #    ###   ####
##  #   #     #       # #####     # #   #   #   #   #     #
#   #   #    #    #   #    #  #   # #   #  #    #   #    #
 ###   ###  #####  ###     #   ###   ###   #     ###   ##
`,
  `
  .     ,     -     _     :     +     /     (     )     ?
                                             #   #     ###
                         ##     #       #   #     #   #   #
                         ##     #      #   #       #      #
            #####             #####   #    #       #     #
       ##                ##     #    #     #       #    #
 ##     #                ##     #   #       #     #
 ##    #          #####                      #   #      #
`,
];

const GLYPH_WIDTH = 5;
const GLYPH_HEIGHT = 7;
/** From the left edge of one character to that of the next, in dots. */
const GLYPH_ADVANCE = 6;

/** Rows of dots, from the top; true where the dot is set. */
type Glyph = readonly (readonly boolean[])[];

const GLYPHS: ReadonlyMap<string, Glyph> = new Map(SHEETS.flatMap(readSheet));

function readSheet(sheet: string): [string, Glyph][] {
  const [names = '', ...rows] = sheet.split('\n').slice(1);
  return Array.from(names.replaceAll(' ', ''), (character, at) => {
    const cells = rows.slice(0, GLYPH_HEIGHT).map((row) => row.slice(at * GLYPH_ADVANCE));
    return [character, cells.map((cell) => dots(cell.slice(0, GLYPH_WIDTH)))];
  });
}

function dots(cell: string): boolean[] {
  return Array.from(cell.padEnd(GLYPH_WIDTH), (dot) => dot === '#');
}

/** Lower case is drawn as upper case, a blank as nothing, and what the font does not know as a question mark. */
export function glyphOf(character: string): Glyph {
  if (character === ' ') return [];
  return GLYPHS.get(character.toUpperCase()) ?? GLYPHS.get('?') ?? [];
}
