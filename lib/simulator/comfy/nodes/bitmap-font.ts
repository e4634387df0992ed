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
export const GLYPH_HEIGHT = 7;
/** From the left edge of one character to that of the next, in dots. */
export const GLYPH_ADVANCE = 6;

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
