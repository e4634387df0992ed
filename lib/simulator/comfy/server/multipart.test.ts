import { expect, test } from '@jest/globals';
import { boundaryOf, readForm } from './multipart.ts';

/** The text in chunks of a given size. */
async function* inPieces(text: string, bytes: number): AsyncGenerator<Buffer> {
  const all = Buffer.from(text);
  for (let at = 0; at < all.length; at += bytes) {
    await Promise.resolve();
    yield all.subarray(at, at + bytes);
  }
}

/** Name, file name and content of each part. */
async function parts(text: string, bytes = text.length): Promise<string[][]> {
  const found: [name: string, filename: string, content: string][] = [];
  for await (const token of readForm(inPieces(text, bytes), 'b')) {
    const last = found.at(-1);
    if (token.kind === 'part') found.push([token.name, token.filename ?? '-', '']);
    else if (last) last[2] += token.bytes.toString();
  }
  return found;
}

const part = (disposition: string, content: string) =>
  `--b\r\nContent-Disposition: form-data; ${disposition}\r\nX: y\r\n\r\n${content}\r\n`;

test.each([1, 2, 7, 1000])('a form is parsed from chunks of %d bytes', async (bytes) => {
  const form =
    part('name="image"; filename="a.png"', 'one\r\n--\r\n--c') +
    part('name=type', '') +
    '--b--\r\n';
  expect(await parts(form, bytes)).toEqual([
    ['image', 'a.png', 'one\r\n--\r\n--c'],
    ['type', '-', ''],
  ]);
});

test.each([
  ['filename="we\\"ird.png"', 'we"ird.png'],
  ['filename="we%22ird.png"', 'we%22ird.png'],
  ['filename="blå;x.png"', 'blå;x.png'],
  ["filename=x.png; filename*=UTF-8''bl%C3%A5.png", 'blå.png'],
  ['filename=""', '-'],
  ['filename="/etc/x.png"', 'etc/x.png'],
])('a file called %s is %s', async (written, name) => {
  const [found] = await parts(part(`name="image"; ${written}`, 'x') + '--b--');
  expect(found).toEqual(['image', name, 'x']);
});

test('a form without its last boundary, or without any, is an error', async () => {
  await expect(parts(part('name="a"', 'x'))).rejects.toThrow('ends too early');
  await expect(parts('hello')).rejects.toThrow('ends too early');
});

test('the boundary may be quoted', () => {
  expect(boundaryOf('multipart/form-data; boundary=abc')).toBe('abc');
  expect(boundaryOf('multipart/form-data; charset=utf-8; boundary="a b"')).toBe('a b');
  expect(() => boundaryOf('multipart/form-data')).toThrow('no boundary');
});
