import { expect, test } from '@jest/globals';
import { JsonText } from './json.ts';
import { LongString } from './long-strings.ts';

const long = 'QUJD'.repeat(50_000);
const asBytes = new Set(['image']);

/** The member `image` of a document that is read from bytes. */
const imageOf = (document: JsonText) =>
  (document.value({ asBytes }) as { readonly image: unknown }).image;

const read = (text: string) => JsonText.parse(Buffer.from(text));

test.each([
  ['base64', `{"image":"${long}"}`],
  ['a data URI', `{"image" : "data:image/png;base64,${long}" }`],
  ['at the end of odd bytes', `{"a":"é","image":"${long}x"}`],
  ['after a byte order mark', `\uFEFF{"image":"${long}"}`],
])('a long string stays bytes: %s', (_, text) => {
  const document = read(text);
  expect(imageOf(document)).toBeInstanceOf(LongString);
  expect(document.text).toBe(text.replace('\uFEFF', ''));
  expect(document.value()).toEqual(JSON.parse(document.text));
  expect(document.get('image')?.asString()).toBe((document.value() as { image: string }).image);
});

test.each([
  ['an escape', `${long}\\/`],
  ['an escaped quote', `\\"${long}`],
  ['other characters', `${long}é`],
])('a long string with %s is text', (_, content) => {
  const document = read(`{"image":"${content}","b":[1.0]}`);
  expect(imageOf(document)).toBe(JSON.parse(`"${content}"`));
  expect(document.get('b')?.text).toBe('[1.0]');
});

test.each([
  ['a control character', `{"image":"${long}\n"}`],
  ['no end', `{"image":"${long}`],
  ['an end that is escaped', `{"image":"${long}\\"`],
  ['no comma behind it', `{"image":"${long}" "b":1}`],
])('a document whose long string has %s is refused', (_, text) => {
  expect(() => read(text)).toThrow(SyntaxError);
});

test('only members that are asked for are bytes', () => {
  const document = read(`{"image":"${long}","other":"${long}","list":["${long}"],"image2":{}}`);
  expect(document.value({ asBytes })).toEqual({
    image: expect.any(LongString),
    other: long,
    list: [long],
    image2: {},
  });
});

test('a long name of a member is text', () => {
  const document = read(`{"${long}" : 1, "image":"${long}"}`);
  expect(document.get(long)?.value()).toBe(1);
});

test('replaced and detached parts keep their long strings', () => {
  const document = read(`{"6":{"image":"${long}","seed":18446744073709551615},"7":["${long}a"]}`);
  const seed = document.get('6')!.get('seed')!;
  expect(document.replacing(seed, '1.0').text).toBe(
    `{"6":{"image":"${long}","seed":1.0},"7":["${long}a"]}`,
  );
  expect(document.get('7')?.detached().text).toBe(`["${long}a"]`);
  expect(document.get('6')?.detached().get('image')?.asString()).toBe(long);
});
