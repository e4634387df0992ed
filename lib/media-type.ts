import mime from 'mime';

/** The media type that a file name's extension stands for, else `application/octet-stream`. */
export function mediaTypeOf(filename: string): string {
  return mime.getType(filename) ?? 'application/octet-stream';
}

/** The media type recognised from a file's first bytes ({@link HEAD_BYTES} are enough); undefined if it is unknown. */
export async function maybeMediaTypeOf(head: Uint8Array): Promise<string | undefined> {
  const { fileTypeFromBuffer } = await import('file-type');
  return (await fileTypeFromBuffer(head.subarray(0, HEAD_BYTES)))?.mime;
}

/** Bytes from the start of a file that are enough to recognise its type. */
export const HEAD_BYTES = 4100;
