import { expect, test } from '@jest/globals';
import { forgetFiles, previewOf, progressOf, textsOf, toFiles, warningsOf } from './output.js';

test('progress and previews are told apart', () => {
  const progress = { percent: 42, node: '3', nodeTitle: 'Paint', step: 8, steps: 20 };
  expect(progressOf(progress)).toEqual(progress);
  expect(previewOf(progress)).toBeUndefined();
  const preview = { preview: 'data:image/jpeg;base64,AAAA', node: '3' };
  expect(previewOf(preview)).toBe('data:image/jpeg;base64,AAAA');
  expect(progressOf(preview)).toBeUndefined();
});

test('unknown shapes of output are ignored', () => {
  for (const odd of [null, 7, 'text', [], { percent: 'half' }, { preview: 'https://elsewhere/' }]) {
    expect(progressOf(odd)).toBeUndefined();
    expect(previewOf(odd)).toBeUndefined();
    expect(toFiles(odd)).toEqual([]);
    expect([...textsOf(odd), ...warningsOf(odd)]).toEqual([]);
  }
});

test('files of every kind are found, whatever list they are in', async () => {
  const files = toFiles({
    images: [{ filename: 'a/b.PNG', type: 'base64', data: 'aGk=' }],
    videos: [{ filename: 'v.mp4', type: 's3_url', data: 'https://bucket/v.mp4?signature=1' }],
    files: [{ filename: 'page.html', type: 'base64', data: 'data:text/html;base64,aGk=' }],
  });
  expect(files).toMatchObject([
    { name: 'b.PNG', kind: 'image', bytes: 2 },
    { name: 'v.mp4', kind: 'video', blob: undefined, place: 'https://bucket/v.mp4?signature=1' },
    { name: 'page.html', kind: 'other', bytes: 2 },
  ]);
  const page = await fetch(files[2]?.blob ?? '');
  expect(page.headers.get('content-type')).toBe('application/octet-stream');
  expect(await page.text()).toBe('hi');
  forgetFiles(files);
});

test('texts and warnings are those of the worker', () => {
  const output = { texts: [{ nodeId: '1', key: 'text', text: 'a cat' }], errors: ['late', 7] };
  expect(textsOf(output)).toEqual(['a cat']);
  expect(warningsOf(output)).toEqual(['late']);
  expect(warningsOf({ details: ['why'] })).toEqual(['why']);
});
