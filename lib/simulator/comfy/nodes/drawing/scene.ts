/** Draws the simulated picture: a landscape as SVG, from a seed and a prompt. */

import { createHash } from 'node:crypto';

export interface SceneOptions {
  readonly width: number;
  readonly height: number;
  /** Its words choose the colours. */
  readonly prompt: string;
  /** All other things that make pictures differ: seed, index in the batch, model. */
  readonly parts: readonly (string | number | bigint)[];
}

export function drawScene({ width, height, prompt, parts }: SceneOptions): string {
  const random = seededRandom(prompt, ...parts);
  const palette = choosePalette(prompt);
  const horizon = height * between(random, 0.5, 0.68);
  const layers = [
    sky(palette),
    palette.dark ? stars(random, width, horizon) : '',
    sun(random, palette, { width, horizon }),
    ...ridges(random, palette, { width, height, horizon }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${layers.join('')}</svg>`;
}

function sky({ zenith, haze }: Palette): string {
  return [
    `<linearGradient id="sky" x2="0" y2="1">`,
    `<stop stop-color="${zenith}"/><stop offset=".68" stop-color="${haze}"/>`,
    `</linearGradient>`,
    `<rect width="100%" height="100%" fill="url(#sky)"/>`,
  ].join('');
}

const STARS = 90;

function stars(random: () => number, width: number, horizon: number): string {
  const points = Array.from({ length: STARS }, () => {
    const [x, y] = [random() * width, random() ** 1.5 * horizon];
    const radius = width * (0.0008 + 0.002 * random() ** 3);
    const opacity = tenths(0.3 + 0.7 * random());
    return `<circle cx="${tenths(x)}" cy="${tenths(y)}" r="${tenths(radius)}" opacity="${opacity}"/>`;
  });
  return `<g fill="#fff">${points.join('')}</g>`;
}

function sun(
  random: () => number,
  { sun, dark }: Palette,
  { width, horizon }: { readonly width: number; readonly horizon: number },
): string {
  const [x, y] = [width * between(random, 0.2, 0.8), horizon * between(random, 0.35, 0.85)];
  const radius = width * between(random, 0.04, 0.085);
  const place = `cx="${tenths(x)}" cy="${tenths(y)}"`;
  return [
    `<radialGradient id="glow">`,
    `<stop stop-color="${sun}" stop-opacity="${dark ? 0.5 : 0.9}"/>`,
    `<stop offset="1" stop-color="${sun}" stop-opacity="0"/>`,
    `</radialGradient>`,
    `<circle ${place} r="${tenths(radius * 5)}" fill="url(#glow)"/>`,
    `<circle ${place} r="${tenths(radius)}" fill="${sun}"/>`,
  ].join('');
}

const RIDGES = 6;

interface Ground {
  readonly width: number;
  readonly height: number;
  readonly horizon: number;
}

/** Mountain ranges from far to near. Near ones are lower and darker, with less mist. */
function ridges(random: () => number, palette: Palette, ground: Ground): string[] {
  return Array.from({ length: RIDGES }, (_, at) => {
    const nearness = at / (RIDGES - 1);
    return ridge(random, palette, { ...ground, nearness });
  });
}

function ridge(
  random: () => number,
  { far, near, haze }: Palette,
  { width, height, horizon, nearness }: Ground & { readonly nearness: number },
): string {
  const base = horizon + (height - horizon) * nearness ** 1.2 * 0.8;
  const relief = height * (0.16 - 0.07 * nearness);
  const shape = `${outline(random, { width, base, relief })}V${height}H0Z`;
  const color = `rgb(${mixed(far, near, nearness).join()})`;
  const id = `mist${tenths(nearness * 10)}`;
  return [
    `<linearGradient id="${id}" x2="0" y2="1">`,
    `<stop stop-color="${color}"/>`,
    `<stop offset="1" stop-color="${haze}" stop-opacity="${0.45 * (1 - nearness)}"/>`,
    `</linearGradient>`,
    `<path d="${shape}" fill="${color}"/><path d="${shape}" fill="url(#${id})"/>`,
  ].join('');
}

const OUTLINE_POINTS = 128;

/** A ridge line by midpoint displacement: the middle of every segment is moved up or down, by less each time. */
function outline(
  random: () => number,
  {
    width,
    base,
    relief,
  }: { readonly width: number; readonly base: number; readonly relief: number },
): string {
  const heights = new Array<number>(OUTLINE_POINTS + 1).fill(0);
  const at = (index: number) => heights[index] ?? 0;
  heights[0] = random();
  heights[OUTLINE_POINTS] = random();
  for (let gap = OUTLINE_POINTS, swing = 0.6; gap > 1; gap /= 2, swing *= 0.52) {
    for (let left = 0; left < OUTLINE_POINTS; left += gap) {
      const offset = (random() - 0.5) * 2 * swing;
      heights[left + gap / 2] = (at(left) + at(left + gap)) / 2 + offset;
    }
  }
  const points = heights.map((rise, index) => {
    const x = (index / OUTLINE_POINTS) * width;
    return `${tenths(x)} ${tenths(base - rise * relief)}`;
  });
  return `M${points.join('L')}`;
}

function mixed(from: Rgb, to: Rgb, share: number): number[] {
  return from.map((value, at) => Math.round(value + ((to[at] ?? 0) - value) * share));
}

function between(random: () => number, low: number, high: number): number {
  return low + random() * (high - low);
}

function tenths(value: number): string {
  return value.toFixed(1);
}

/** The colours of the simulated landscapes. */

interface Palette {
  /** A prompt with one of these words gets this palette. */
  readonly words: RegExp;
  readonly zenith: string;
  readonly haze: string;
  readonly sun: string;
  readonly far: Rgb;
  readonly near: Rgb;
  readonly dark?: true;
}

type Rgb = readonly [number, number, number];

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

/** The palette for the prompt's words. Without a known word, a random one that depends only on the prompt. */
function choosePalette(prompt: string): Palette {
  const matching = PALETTES.find(({ words }) => words.test(prompt));
  if (matching) return matching;
  const any = Math.floor(seededRandom('palette', prompt)() * PALETTES.length);
  return PALETTES[any] ?? SUNSET;
}

/** A random number generator, 0 to 1, seeded by a hash of the parts (sfc32). */
export function seededRandom(...parts: readonly (string | number | bigint)[]): () => number {
  const hash = createHash('sha256').update(parts.join('\0')).digest();
  let [a, b, c, counter] = [0, 4, 8, 12].map((at) => hash.readInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ];
  return () => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
}
