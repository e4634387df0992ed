import { expect, test } from '@jest/globals';
import { Base64, toText, valueOf } from '../json-body.ts';
import { encodePost, measurePost, readPost, type PostMembers } from './post-body.ts';

const POSTS: readonly PostMembers[] = [
  {},
  { output: null },
  { output: { images: [{ data: new Base64(Buffer.from('picture')) }], text: 'ä😀' } },
  { output: [1], error: 'some of it failed', stopPod: true },
  { error: 'no "workflow"' },
  { status: 'IN_PROGRESS', output: { percent: 42 } },
];

test.each(POSTS)(
  '%j is written as JSON.stringify would, and its size is known before',
  (members) => {
    const measured = measurePost(members);
    const text = toText(measured.encode());
    const plain = JSON.parse(JSON.stringify(members, base64AsText)) as object;
    expect(text).toBe(JSON.stringify(plain));
    expect(measured.bytes).toBe(Buffer.byteLength(text));
  },
);

test.each(POSTS)('%j read back has the same parts', (members) => {
  const post = encodePost(members);
  const read = readPost(Buffer.from(toText(post)));
  expect(toText(read)).toBe(toText(post));
  expect(read.error).toBe(post.error);
  expect(read.output && valueOf(read.output)).toEqual(post.output && valueOf(post.output));
  expect(read.output?.bytes).toBe(post.output?.bytes);
});

function base64AsText(_key: string, value: unknown): unknown {
  return value instanceof Base64 ? Buffer.from(value.bytes).toString('base64') : value;
}
