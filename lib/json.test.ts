import { expect, test } from '@jest/globals';
import { JsonText } from './json.ts';

test('key order, big integers and floats survive', () => {
  const source = '{"10":{"seed":18446744073709551615},"2":{"cfg":1.0},"1":[1e3, -0.0]}';
  const workflow = JsonText.parse(source);
  expect(workflow.text).toBe(source);
  expect(workflow.entries().map(([nodeId]) => nodeId)).toEqual(['10', '2', '1']);
  expect(workflow.get('10')?.get('seed')?.text).toBe('18446744073709551615');
  expect(workflow.get('2')?.get('cfg')?.text).toBe('1.0');
  expect(
    workflow
      .get('1')
      ?.items()
      .map((item) => item.text),
  ).toEqual(['1e3', '-0.0']);
});

test('brackets, quotes and backslashes inside strings are not structure', () => {
  const json = JsonText.parse('{"a]\\"}":"{[,\\\\", "\\u0062" : ["\\\\\\""]}');
  expect(json.entries().map(([key, member]) => [key, member.value()])).toEqual([
    ['a]"}', '{[,\\'],
    ['b', ['\\"']],
  ]);
});

test('the last of equal keys wins, at the place of the first', () => {
  const json = JsonText.parse('{"a":1,"b":2,"a":3}');
  expect(json.entries().map(([key, member]) => [key, member.value()])).toEqual([
    ['a', 3],
    ['b', 2],
  ]);
  expect(json.get('a')?.text).toBe('3');
});

test('bare NaN and Infinity are read as null, and stay as they are inside strings', () => {
  const json = JsonText.parse('{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \\" Infinity"}');
  expect(json.value()).toEqual({ a: null, b: [null, null], c: 'NaN " Infinity' });
  expect(json.get('a')?.text).toBe('NaN');
});

test.each(['', '{', '{"a":}', '[1,]', 'nope', '"abc', '{"a":1}x', '{"a":NaN,}'])(
  'text that is not JSON is refused: %s',
  (source) => {
    expect(() => JsonText.parse(source)).toThrow(SyntaxError);
  },
);

test('kinds, missing keys and white space are read', () => {
  const json = JsonText.parse(
    ' { "o" : { } , "a" : [ ] , "s" : "" , "n" : 1 , "t" : true , "z" : null } ',
  );
  expect(json.entries().map(([, member]) => member.kind)).toEqual([
    'object',
    'array',
    'string',
    'number',
    'boolean',
    'null',
  ]);
  expect(json.get('missing')).toBeUndefined();
  expect(json.get('s')?.get('x')).toBeUndefined();
  expect(json.get('o')?.items()).toEqual([]);
});

test('only strings have a text content', () => {
  const json = JsonText.parse('{"s":"a\\u0062","n":1}');
  expect([json.get('s')?.asString(), json.get('n')?.asString()]).toEqual(['ab', undefined]);
});

test('a detached value reads the same', () => {
  const json = JsonText.parse('{"big":"x","small":{"é":1}}').get('small');
  expect(json?.detached().text).toBe('{"é":1}');
  expect(json?.detached().get('é')?.value()).toBe(1);
});

test('a part is replaced and every other character stays', () => {
  const json = JsonText.parse(' {"10": {"seed" :1.0, "s":"a\\u0062"},\n "2":[1e3]} ');
  const seed = json.get('10')!.get('seed')!;
  const changed = json.replacing(seed, '18446744073709551615');
  expect(changed.text).toBe('{"10": {"seed" :18446744073709551615, "s":"a\\u0062"},\n "2":[1e3]}');
  expect(() => json.get('2')!.replacing(seed, '2')).toThrow(TypeError);
  expect(() => changed.replacing(seed, '2')).toThrow(TypeError);
  expect(() => json.replacing(seed, '}')).toThrow(SyntaxError);
});

test('several parts are replaced at once, in any order, but they must not overlap', () => {
  const json = JsonText.parse('{"a":[1, 2], "b" : 3}');
  const [a, b] = [json.get('a')!, json.get('b')!];
  const [one, two] = a.items();
  const changed = json.replacingAll([
    [b, '"long text"'],
    [two!, '22'],
    [one!, '11'],
  ]);
  expect(changed.text).toBe('{"a":[11, 22], "b" : "long text"}');
  expect(() =>
    json.replacingAll([
      [a, '0'],
      [two!, '1'],
    ]),
  ).toThrow(TypeError);
});

test('the value of a long text equals what JSON.parse returns', () => {
  const base64 = 'iVBORw0KGgo'.repeat(20_000);
  const texts = [
    `{"input":{"images":[{"name":"a","image":"${base64}"}],"2":1,"1":[NaN,1.5]}}`,
    `["${base64}","line\\n\\u00e4${base64}", {"a":1,"b":2,"a":"${base64}"}]`,
    `{"__proto__":{"x":"${base64}"}}`,
    `"${base64}"`,
    `"${base64}\\\\"`,
  ];
  for (const text of texts) {
    const parsed = JSON.parse(text.replace('NaN', 'null')) as object;
    const value = JsonText.parse(text).value();
    expect(JSON.stringify(value)).toBe(JSON.stringify(parsed));
  }
});

test('a long text with NaN, without long strings, is parsed', () => {
  const numbers = `[${'NaN,1.5,'.repeat(100_000)}-Infinity]`;
  const base64 = 'iVBORw0KGgo'.repeat(20_000);
  const value = JsonText.parse(`{"n":${numbers},"s":"${base64}","e":[1e400,-0.0]}`).value();
  expect(value).toMatchObject({ s: base64, e: [1e400, -0] });
  expect((value as { n: unknown[] }).n.slice(-3)).toEqual([null, 1.5, null]);
});

test('a deeply nested long text is read in time', () => {
  const deep = '['.repeat(200_000) + ']'.repeat(200_000);
  expect(Array.isArray(JsonText.parse(`[1,${deep}]`).value())).toBe(true);
});
