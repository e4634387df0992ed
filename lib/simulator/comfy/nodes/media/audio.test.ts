import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { fileTypeFromBuffer } from 'file-type';
import { definitionOf, startNodeBench } from '../../testing/node-bench.ts';

const TONE = 'test_resources/media/tone.flac';

test.each([
  ['SaveAudio', 'flac'],
  ['SaveAudioMP3', 'mp3'],
])('%s saves a loaded file as the same bytes, under audio', async (node, extension) => {
  await using bench = await startNodeBench();
  await copyFile(TONE, join(bench.folders.input, 'tone.flac'));
  const [audio] = await bench.outputs('LoadAudio', { audio: 'tone.flac' });
  const filename = `ComfyUI_00001_.${extension}`;
  expect(
    await bench.show(node, { audio, filename_prefix: 'audio/ComfyUI', quality: 'V0' }),
  ).toEqual({
    audio: [{ filename, subfolder: 'audio', type: 'output' }],
  });
  const saved = await readFile(join(bench.folders.output, 'audio', filename));
  expect(saved.equals(await readFile(TONE))).toBe(true);
});

test('silence is saved as FLAC with the given length and sample rate', async () => {
  await using bench = await startNodeBench();
  const inputs = { duration: 0.5, sample_rate: 8000, channels: 2 };
  const [audio] = await bench.outputs('EmptyAudio', inputs);
  const shown = await bench.show('PreviewAudio', { audio });
  expect(shown).toMatchObject({ audio: [{ subfolder: '', type: 'temp' }] });
  const [{ filename }] = shown.audio as [{ filename: string }];
  const file = await readFile(join(bench.folders.temp, filename));
  expect((await fileTypeFromBuffer(file))?.ext).toBe('flac');
  expect([file.readUInt32BE(18) >>> 12, file.readUInt32BE(22)]).toEqual([8000, 4000]);
});

test('a missing audio file is refused by name; the choices include videos', async () => {
  await using bench = await startNodeBench();
  const node = definitionOf('LoadAudio');
  expect(await node.validate!.check({ audio: 'no.wav' }, bench.host)).toBe(
    'Invalid audio file: no.wav',
  );
  for (const name of ['a.flac', 'b.mp4', 'c.png']) {
    await copyFile(TONE, join(bench.folders.input, name));
  }
  const [, options] = (await node.info(bench.host)).input.required!.audio!;
  expect(options).toMatchObject({ options: ['a.flac', 'b.mp4'] });
});
