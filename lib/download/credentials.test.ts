import { expect, test } from '@jest/globals';
import { authFor, CredentialsSchema } from './credentials.ts';

const auth = { type: 'bearer', token: 't' };

function isMeant(pattern: string, url: string): boolean {
  return (
    authFor(new URL(url), CredentialsSchema.parse([{ url_pattern: pattern, auth }])) !== undefined
  );
}

test.each([
  ['https://example.com/a', 'https://example.com/a'],
  ['https://example.com/a', 'https://user@example.com:443/a#b'],
  ['https://Example.com/*', 'https://example.com/a'],
  ['https://example.com/*', 'https://example.com/a?b=c'],
  ['https://example.com/**', 'https://example.com/a/b/c'],
  ['https://*.example.com/**', 'https://a.example.com/'],
  ['https://*/a', 'https://example.com:8443/a'],
  ['example.com/**', 'https://example.com/a'],
  ['**', 'https://example.com/a'],
  ['*://example.com/**', 'https://example.com/a'],
  ['http://example.com/**', 'http://example.com/a'],
  ['s3://bucket/**', 's3://bucket/a/b'],
  ['https://example.com/a?b=*', 'https://example.com/a?b=c'],
  ['https://example.com/a.b', 'https://example.com/a.b'],
])('the pattern %s matches %s', (pattern, url) => expect(isMeant(pattern, url)).toBe(true));

test.each([
  ['https://example.com/*', 'https://example.com/a/b'],
  ['https://example.com/**', 'http://example.com/a'],
  ['example.com/**', 'http://example.com/a'],
  ['**', 'http://example.com/a'],
  ['*://example.com/**', 'http://example.com/a'],
  ['https://example.com/**', 'https://example.com.evil.net/a'],
  ['https://example.com/**', 'https://example.com@evil.net/a'],
  ['https://*.example.com/**', 'https://evil.net/.example.com/'],
  ['https://*.example.com/**', 'https://evil.net?.example.com/'],
  ['https://example.com/a.b', 'https://example.com/axb'],
  ['https://example.com/a', 'https://example.com/a?b=c'],
])('the pattern %s does not match %s', (pattern, url) => expect(isMeant(pattern, url)).toBe(false));

test('the first credentials whose pattern matches are used', () => {
  const credentials = CredentialsSchema.parse([
    { url_pattern: 'https://a.com/x/**', auth: { type: 'bearer', token: 'first' } },
    { url_pattern: 'https://a.com/**', auth: { type: 'bearer', token: 'second' } },
  ]);
  expect(authFor(new URL('https://a.com/x/y'), credentials)).toHaveProperty('token', 'first');
  expect(authFor(new URL('https://a.com/y'), credentials)).toHaveProperty('token', 'second');
});

test('a pattern made to be slow is matched at once', () => {
  const pattern = `https://a.com/${'**a'.repeat(40)}b`;
  expect(isMeant(pattern, `https://a.com/${'a'.repeat(4000)}`)).toBe(false);
});

test.each([
  { type: 'bearer' },
  { type: 'header', header_name: 'a b', header_value: 'x' },
  { type: 'header', header_name: 'a', header_value: 'x\r\nHost: y' },
  { type: 'magic', token: 'x' },
])('%j is not accepted as credentials', (wrong) => {
  expect(CredentialsSchema.safeParse([{ url_pattern: '**', auth: wrong }]).success).toBe(false);
});
