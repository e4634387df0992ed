import mime from 'mime';

/** The media type a file's name tells; `application/octet-stream` when it tells none. */
export function mediaTypeOf(filename: string): string {
  return mime.getType(filename) ?? 'application/octet-stream';
}

/** The media type the first kilobytes of a file tell, whatever its name; undefined when they are of no known kind. */
export async function maybeMediaTypeOf(head: Uint8Array): Promise<string | undefined> {
  const { fileTypeFromBuffer } = await import('file-type');
  return (await fileTypeFromBuffer(head.subarray(0, HEAD_BYTES)))?.mime;
}

/** As much as is needed to recognise a file. */
export const HEAD_BYTES = 4100;
