import { createHash } from 'node:crypto';
import type { FileContent } from '../../lib/file-content.ts';
import type { DeliveredFile } from './artifact.ts';
import type { OutputChoice } from './collect-outputs.ts';

/** Members that `output.details` adds to each file. */
export interface FileDetails {
  readonly nodeId: string;
  readonly title?: string;
  readonly subfolder: string;
  readonly mediaType: string;
  readonly bytes: number;
  /** Of the delivered bytes, in hexadecimal digits. */
  readonly sha256: string;
  /** Pixels of an image, or of one frame of an animation. */
  readonly width?: number;
  readonly height?: number;
}

/** Describes one file after the other: each is read again, from memory or from disk. */
export async function describeFiles(
  files: readonly DeliveredFile[],
  { choice, signal }: { readonly choice: OutputChoice; readonly signal: AbortSignal },
): Promise<readonly FileDetails[]> {
  const details: FileDetails[] = [];
  for (const { artifact } of files) {
    signal.throwIfAborted();
    const { nodeId, subfolder, mediaType, content } = artifact;
    const title = choice.titleOf(nodeId);
    const hash = createHash('sha256');
    for await (const chunk of content.stream() as AsyncIterable<Uint8Array>) hash.update(chunk);
    details.push({
      nodeId,
      ...(title === undefined ? {} : { title }),
      subfolder,
      mediaType,
      bytes: content.size,
      sha256: hash.digest('hex'),
      ...(mediaType.startsWith('image/') ? await dimensionsOf(content) : {}),
    });
  }
  return details;
}

/** Read from the header. Empty for images that sharp does not know, and for files too large to load into memory. */
async function dimensionsOf(content: FileContent): Promise<{ width?: number; height?: number }> {
  if (content.size > MAX_IMAGE_BYTES) return {};
  const { default: sharp } = await import('sharp');
  try {
    const image = sharp(await content.bytes(), { limitInputPixels: false });
    const { width, height, pageHeight } = await image.metadata();
    return { width, height: pageHeight ?? height };
  } catch {
    return {};
  }
}

const MAX_IMAGE_BYTES = 64 * 1024 * 1024;
