/** The colours of the simulated landscapes. */

import { seededRandom } from './seeded-random.ts';

export interface Palette {
  /** A prompt with one of these words gets this palette. */
  readonly words: RegExp;
  readonly zenith: string;
  readonly haze: string;
  readonly sun: string;
  readonly far: Rgb;
  readonly near: Rgb;
  readonly dark?: true;
}

export type Rgb = readonly [number, number, number];

const SUNSET: Palette = {
  words: /sunset|sunrise|dusk|dawn|golden|warm|fire|autumn/i,
  zenith: '#35235d',
  haze: '#ff9e6d',
  sun: '#ffe3a1',
  far: [196, 92, 98],
  near: [38, 20, 48],
};

const PALETTES: readonly Palette[] = [
  SUNSET,
  {
    words: /night|moon|star|space|galaxy|neon|cyber|dark/i,
    zenith: '#070b24',
    haze: '#3f4f8f',
    sun: '#f1f3ff',
    far: [52, 66, 122],
    near: [8, 11, 30],
    dark: true,
  },
  {
    words: /snow|winter|ice|frost|cold|arctic/i,
    zenith: '#6fa3cf',
    haze: '#f3f0f6',
    sun: '#fffdf2',
    far: [202, 215, 232],
    near: [62, 92, 128],
  },
  {
    words: /forest|tree|jungle|garden|green|meadow|spring/i,
    zenith: '#5aa7b5',
    haze: '#f4efc6',
    sun: '#fff7d1',
    far: [150, 190, 150],
    near: [18, 52, 40],
  },
  {
    words: /desert|sand|dune|rome|city|castle|house|temple/i,
    zenith: '#3d7fb0',
    haze: '#fbe0b4',
    sun: '#fff3d6',
    far: [226, 170, 118],
    near: [104, 48, 34],
  },
  {
    words: /sea|ocean|water|lake|beach|river|blue|boat/i,
    zenith: '#1d5f9c',
    haze: '#d8f1f0',
    sun: '#fffbe0',
    far: [112, 178, 196],
    near: [8, 54, 84],
  },
  {
    words: /flower|pink|cherry|candy|dream|love|portrait|cat/i,
    zenith: '#6c5fa8',
    haze: '#ffd0d6',
    sun: '#fff1e6',
    far: [222, 150, 178],
    near: [70, 34, 82],
  },
];

/** By the words of the prompt; without a known one, any, but always the same for this prompt. */
export function choosePalette(prompt: string): Palette {
  const asked = PALETTES.find(({ words }) => words.test(prompt));
  if (asked) return asked;
  const any = Math.floor(seededRandom('palette', prompt)() * PALETTES.length);
  return PALETTES[any] ?? SUNSET;
}
