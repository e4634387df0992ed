import { open, readdir, readFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { ByteSource } from './byte-source.ts';
import { readEmbedded } from './embedded.ts';

const FOLDER = new URL('../../../test_resources/media/embedded/', import.meta.url);
const files = await readdir(FOLDER);
const file = (name: string) => readFile(new URL(name, FOLDER));

const read = async (bytes: Uint8Array) => {
  const found = await readEmbedded(ByteSource.ofBytes(bytes));
  return found?.value() as { prompt?: object; workflow?: { nodes: { title?: string }[] } };
};

/** The texts of the fixtures have braces and letters outside of ASCII on purpose. */
const PROMPT = { '9': { class_type: 'SaveImage', inputs: { text: 'a } "b" { c' } } };
const ASCII_WORKFLOW = { nodes: [{ id: 1, title: 'One {1}' }] };
const WORKFLOW = { nodes: [{ id: 1, title: 'Größe {1}' }], links: [] };

test.each(files.filter((name) => name !== 'README.md'))(
  'the workflow of %s is read, in both formats',
  async (name) => {
    const { prompt, workflow } = await read(await file(name));
    expect(workflow?.nodes).toMatchObject([{ type: 'EmptyImage' }, { title: 'Größe {1}' }]);
    expect(prompt).toMatchObject({ '9': { inputs: { filename_prefix: 'made' } } });
  },
);

test.each(['webp', 'avif', 'jpeg'] as const)(
  'the workflow in the EXIF data that sharp writes into %s is read',
  async (format) => {
    const IFD0 = {
      Model: `prompt:${JSON.stringify(PROMPT)}`,
      Make: `workflow:${JSON.stringify(ASCII_WORKFLOW)}`,
    };
    const image = sharp({ create: { width: 9, height: 9, channels: 3, background: 'red' } });
    const bytes = await image.withExif({ IFD0 }).toFormat(format).toBuffer();
    expect(await read(bytes)).toEqual({ prompt: PROMPT, workflow: ASCII_WORKFLOW });
  },
);

const chunk = (type: string, data: string | Buffer) => {
  const content = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, Buffer.from(type), content, Buffer.alloc(4)]);
};
const png = (...chunks: Buffer[]) =>
  Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', Buffer.alloc(13)),
    ...chunks,
  ]);
const prompt = JSON.stringify(PROMPT);

test('a file that was cut off behind its workflow is read', async () => {
  const bytes = png(chunk('tEXt', `prompt\0${prompt}`), chunk('IDAT', Buffer.alloc(500)));
  expect(await read(bytes.subarray(0, -300))).toEqual({ prompt: PROMPT });
});

test('a workflow behind the pixels is found without reading the pixels', async () => {
  const path = new URL('comfyui-animated.png', FOLDER);
  const text = chunk('comf', `prompt\0${prompt}`);
  const bytes = png(chunk('IDAT', Buffer.alloc(5_000_000)), text);
  await using handle = await open(path);
  let loaded = 0;
  const counting = Object.assign(Object.create(handle) as typeof handle, {
    stat: () => Promise.resolve({ size: bytes.length }),
    read: (buffer: Buffer, _offset: number, length: number, start: number) => {
      loaded += length;
      const bytesRead = bytes.copy(buffer, 0, start, start + length);
      return Promise.resolve({ buffer, bytesRead });
    },
  });
  const found = await readEmbedded(await ByteSource.ofFile(counting));
  expect(found?.value()).toEqual({ prompt: PROMPT });
  expect(loaded).toBeLessThan(200_000);
});

test('a text that holds both as one object is read, and a broken text beside it does not matter', async () => {
  const both = JSON.stringify({ prompt, workflow: WORKFLOW });
  const bytes = png(chunk('tEXt', 'prompt\0{"1": '), chunk('tEXt', `Comment\0${both}`));
  expect(await read(bytes)).toEqual({ prompt: PROMPT, workflow: WORKFLOW });
});

test('a workflow in a comment of many pages of an Ogg file is read', async () => {
  const title = 'x'.repeat(200_000);
  const workflow = JSON.stringify({ nodes: [{ title }] });
  const comment = Buffer.from(`workflow=${workflow}`);
  const numbers = [Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4)] as const;
  numbers[1].writeUInt32LE(1);
  numbers[2].writeUInt32LE(comment.length);
  const packet = Buffer.concat([Buffer.from('OpusTags'), ...numbers, comment]);
  const pages = [oggPage(Buffer.from('OpusHead'))];
  for (let at = 0; at <= packet.length; at += 255 * 255) {
    pages.push(oggPage(packet.subarray(at, at + 255 * 255)));
  }
  expect((await read(Buffer.concat(pages))).workflow?.nodes[0]?.title).toBe(title);
});

function oggPage(data: Buffer): Buffer {
  const count = Math.min(Math.floor(data.length / 255) + 1, 255);
  const lengths = Array.from({ length: count }, (_, i) => Math.min(255, data.length - i * 255));
  const head = Buffer.alloc(27);
  head.write('OggS');
  head[26] = count;
  return Buffer.concat([head, Buffer.from(lengths), data]);
}

test('an ID3 tag of UTF-16 texts is read', async () => {
  const text = Buffer.from(`\uFEFFprompt\0\uFEFF${prompt}`, 'utf16le');
  const frame = Buffer.concat([Buffer.from('TXXX'), Buffer.alloc(6), Buffer.from([1]), text]);
  frame.writeUInt32BE(text.length + 1, 4);
  const head = Buffer.from('ID3\x03\0\0\0\0\0\0', 'latin1');
  head[8] = (frame.length >> 7) & 0x7f;
  head[9] = frame.length & 0x7f;
  expect(await read(Buffer.concat([head, frame, Buffer.alloc(20)]))).toEqual({ prompt: PROMPT });
});

test('the workflow of a GLB and of an SVG is read', async () => {
  const json = Buffer.from(JSON.stringify({ asset: { extras: { prompt, workflow: WORKFLOW } } }));
  const head = Buffer.from('glTF\x02\0\0\0\0\0\0\0\0\0\0\0JSON', 'latin1');
  head.writeUInt32LE(json.length, 12);
  expect(await read(Buffer.concat([head, json]))).toEqual({ prompt: PROMPT, workflow: WORKFLOW });
  const svg = `<?xml version="1.0"?><svg><metadata><![CDATA[{"prompt":${prompt}}]]></metadata></svg>`;
  expect(await read(Buffer.from(svg))).toEqual({ prompt: PROMPT });
});

test.each([
  [
    'a picture without one',
    png(chunk('IEND', '')),
    /^The PNG file carries no workflow; .*JSON file/,
  ],
  [
    'a picture of another program',
    png(chunk('tEXt', 'parameters\0a cat\nSteps: 20')),
    /parameters of another program \(A1111\)/,
  ],
  [
    'a file of a kind without metadata',
    Buffer.from('GIF89a\x01\0\x01\0\0\0\0;', 'latin1'),
    /image\/gif carry no workflow/,
  ],
  [
    'a chunk longer than the file',
    png(chunk('tEXt', 'prompt\0{}')).subarray(0, 48),
    /^The PNG file ends at byte 48, in the middle of its metadata$/,
  ],
  [
    'a compressed text that is none',
    png(chunk('zTXt', 'prompt\0\0nonsense')),
    /^The PNG file has a compressed text that cannot be read$/,
  ],
  [
    'a text that grows beyond all bounds',
    png(
      chunk(
        'zTXt',
        Buffer.concat([Buffer.from('prompt\0\0'), deflateSync(Buffer.alloc(70_000_000))]),
      ),
    ),
    /cannot be read/,
  ],
  [
    'thousands of parts',
    png(Buffer.alloc(200_001 * 12, chunk('none', ''))),
    /^The PNG file has too many parts$/,
  ],
])('%s is refused with the reason', async (_, bytes, message) => {
  await expect(read(bytes)).rejects.toThrow(message);
  await expect(read(bytes)).rejects.toMatchObject({ code: 'workflow.unreadable' });
});

test('text is left to others', async () => {
  expect(await read(Buffer.from('{"1": {}}'))).toBeUndefined();
  expect(await read(Buffer.alloc(0))).toBeUndefined();
});

test.each(files.filter((name) => name !== 'README.md'))(
  'no byte of %s can be broken so that reading it does not end or ends in another error',
  async (name) => {
    const whole = await file(name);
    const step = Math.max(1, Math.floor(whole.length / 150));
    for (let at = 0; at < whole.length; at += step) {
      for (const value of [0, 0x7f, 0xff]) {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        await expectReadOrRefused(bytes);
      }
      await expectReadOrRefused(whole.subarray(0, at));
    }
  },
);

async function expectReadOrRefused(bytes: Buffer): Promise<void> {
  try {
    await read(bytes);
  } catch (error) {
    expect(error).toMatchObject({ code: 'workflow.unreadable' });
  }
}
