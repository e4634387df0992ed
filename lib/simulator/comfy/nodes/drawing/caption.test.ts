import { expect, test } from '@jest/globals';
import { glyphOf, drawCaption } from './caption.ts';
import { plainImage } from '../images/pixels.ts';

const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-_:+/()?';

test('no two characters look the same', () => {
  const shapes = Array.from(CHARACTERS, (character) => JSON.stringify(glyphOf(character)));
  expect(new Set(shapes).size).toBe(CHARACTERS.length);
  for (const shape of shapes) expect(shape).toContain('true');
});

test('a letter is drawn dot by dot', () => {
  const rows = glyphOf('s').map((row) => row.map((dot) => (dot ? '#' : ' ')).join(''));
  expect(rows).toEqual([' ####', '#    ', '#    ', ' ### ', '    #', '    #', '#### ']);
});

test('an unknown character becomes a question mark', () => {
  expect(glyphOf('\u00e9')).toEqual(glyphOf('?'));
});

test.each([
  [8, 8],
  [16, 300],
  [2048, 64],
])('a caption fits into any picture, as into %d x %d', (width, height) => {
  const image = plainImage(width, height, 0x808080);
  const { frames } = drawCaption(image, ['SIMULATED', 'a much longer line than fits']);
  expect(frames[0]).toHaveLength(width * height * 3);
  expect(frames[0]).toContain(0xf2);
});

test('the original image is not changed', () => {
  const image = plainImage(64, 64, 0x808080);
  drawCaption(image, ['SIMULATED']);
  expect(image.frames[0]!.every((value) => value === 0x80)).toBe(true);
});
