import { expect, test } from '@jest/globals';
import { under, withoutDoubledSlashes } from './base-url.ts';

test.each([
  ['http://h:8188', '/ws', 'http://h:8188/ws'],
  ['http://h:8188/', '/ws', 'http://h:8188/ws'],
  ['http://h//a///b//', '/ws?x=//', 'http://h/a/b/ws?x=//'],
  ['https://h/c/?sig=a//b/', '/name', 'https://h/c/name?sig=a//b/'],
  ['https://proxy/https://h/', '/a', 'https://proxy/https://h/a'],
  ['https://h//', '', 'https://h'],
  ['/', '', ''],
  ['//a//', '/b', '/a/b'],
])('below %s, %s is %s', (base, path, url) => {
  expect(under(base, path)).toBe(url);
});

test.each([
  ['https://h//v2/e//job-take/$ID?gpu=a//b', 'https://h/v2/e/job-take/$ID?gpu=a//b'],
  ['https://h/v2/', 'https://h/v2/'],
  ['PING_NOT_SET', 'PING_NOT_SET'],
])('%s without doubled slashes is %s', (url, tidy) => {
  expect(withoutDoubledSlashes(url)).toBe(tidy);
});
