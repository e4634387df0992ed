import { expect, test } from '@jest/globals';
import { curlCommand, sdkSnippet } from './snippets.js';

const REQUEST = `{"input":{"workflow":{"1":{"class_type":"A","inputs":{"seed":18446744073709551615,"text":"it's $HOME"}}}}}`;
const HERE = { base: 'http://127.0.0.1:8000/', needsKey: false };

test('the curl command carries the request as it is, and no shell touches it', () => {
  const command = curlCommand(REQUEST, HERE);
  expect(command).toContain("curl -sS 'http://127.0.0.1:8000/runsync'");
  expect(command).toContain(`<<'JSON'\n${REQUEST}\nJSON`);
  expect(command).not.toContain('Authorization');
});

test('a key is read from the environment, never written out', () => {
  const there = { ...HERE, needsKey: true };
  expect(curlCommand(REQUEST, there)).toContain('-H "Authorization: Bearer $API_KEY"');
  expect(sdkSnippet(REQUEST, there)).toContain('runpodSdk(process.env.API_KEY,');
});

test('an input with a seed that a program would round is sent as text', () => {
  expect(sdkSnippet(REQUEST, HERE)).toContain('runSync({"input":String.raw`{"workflow":');
  expect(sdkSnippet(REQUEST.replace('$HOME', '`${x}`'), HERE)).toContain(
    String.raw`runSync({"input":"{\"workflow\":`,
  );
  const small = REQUEST.replace('18446744073709551615', '7');
  expect(sdkSnippet(small, HERE)).toContain(`runSync(${small})`);
});

test('a large image is named, not shown', () => {
  const image = `data:image/png;base64,${'A'.repeat(5000)}`;
  const request = `{"input":{"workflow":{},"images":[{"name":"cat.png","image":"${image}"}]}}`;
  for (const text of [curlCommand(request, HERE), sdkSnippet(request, HERE)]) {
    expect(text).toContain('{"name":"cat.png","image":"<base64 of cat.png>"}');
    expect(text).not.toContain('AAAA');
  }
});
