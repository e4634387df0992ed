import { createHash } from 'node:crypto';
import type { DeliveredFile } from './artifact.ts';
import type { OutputChoice } from './output-choice.ts';

/** What is told of a file when `output.details` asks for it. */
export interface OutputDetails {
  readonly nodeId: string;
  readonly title?: string;
  readonly subfolder: string;
  readonly mediaType: string;
  readonly bytes: number;
  /** Of the bytes that were delivered, in hexadecimal digits. */
  readonly sha256: string;
  /** Of a picture, in pixels; of an animation, one frame. */
  readonly width?: number;
  readonly height?: number;
}

/** One file after the other: they are read again, from memory or from the disk. */
export async function describeFiles(
  files: readonly DeliveredFile[],
  { choice, signal }: { readonly choice: OutputChoice; readonly signal: AbortSignal },
): Promise<readonly OutputDetails[]> {
  const described: OutputDetails[] = [];
  for (const file of files) {
    signal.throwIfAborted();
    described.push(await describeFile(file, choice));
  }
  return described;
}

async function describeFile(
  { artifact }: DeliveredFile,
  choice: OutputChoice,
): Promise<OutputDetails> {
  const { nodeId, subfolder, mediaType, content } = artifact;
  const title = choice.titleOf(nodeId);
  return {
    nodeId,
    ...(title === undefined ? {} : { title }),
    subfolder,
    mediaType,
    bytes: content.size,
    sha256: await sha256(content),
    ...(mediaType.startsWith('image/') ? await dimensions(content) : {}),
  };
}

async function sha256(content: Blob): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of content.stream() as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest('hex');
}

/** From the header alone; none for pictures sharp does not know, and for those larger than anybody draws. */
async function dimensions(content: Blob): Promise<{ width?: number; height?: number }> {
  if (content.size > MAX_PICTURE_BYTES) return {};
  const { default: sharp } = await import('sharp');
  try {
    const picture = sharp(Buffer.from(await content.arrayBuffer()), { limitInputPixels: false });
    const { width, height, pageHeight } = await picture.metadata();
    return { width, height: pageHeight ?? height };
  } catch {
    return {};
  }
}

const MAX_PICTURE_BYTES = 64 * 1024 * 1024;
