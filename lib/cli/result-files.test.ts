import { expect, test } from '@jest/globals';
import { readOutput } from './result-files.ts';

const item = (filename: string) => ({ filename, type: 'base64', data: 'AAAA' });

test('all files of an output are read, in the order of its lists', () => {
  const output = {
    images: [item('a.png')],
    videos: [item('b.mp4')],
    audio: [item('c.flac')],
    files: [item('d.latent')],
    texts: [{ node: '7', text: 'no file' }],
    errors: ['one was lost'],
  };
  const { images, problems } = readOutput(output);
  expect(images.map(({ filename }) => filename)).toEqual(['a.png', 'b.mp4', 'c.flac', 'd.latent']);
  expect(problems).toEqual(['one was lost']);
});

test.each([undefined, null, 'text', { images: 'none' }])(
  'an output of %j has no files',
  (output) => {
    expect(readOutput(output)).toEqual({ images: [], problems: [] });
  },
);
