import mime from 'mime';

/** The media type a file's name tells; `application/octet-stream` when it tells none. */
export function mediaTypeOf(filename: string): string {
  return mime.getType(filename) ?? 'application/octet-stream';
}
