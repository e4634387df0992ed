import type { Preview } from '../backend.ts';

/**
 * A binary frame of ComfyUI: four bytes that name the event, four that name the picture's format, and the picture
 * (`server.py`, `encode_bytes` and `send_image`). Frames with metadata go only to clients that ask for them.
 */
export function parsePreview(frame: Buffer): Preview | undefined {
  if (frame.length <= HEAD_BYTES || frame.readUInt32BE(0) !== PREVIEW_IMAGE) return undefined;
  const mediaType = MEDIA_TYPES.get(frame.readUInt32BE(4));
  return mediaType === undefined ? undefined : { bytes: frame.subarray(HEAD_BYTES), mediaType };
}

const HEAD_BYTES = 8;
const PREVIEW_IMAGE = 1;
const MEDIA_TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'image/jpeg'],
  [2, 'image/png'],
]);
