import type { StoredFile } from './storage.ts';

/** A file to store in tests, of 70,000 bytes unless told. */
export function storedFile(changes: Partial<StoredFile> = {}): StoredFile {
  const filename = changes.filename ?? 'a.png';
  return {
    jobId: 'job-1',
    nodeId: '9',
    filename,
    uniqueName: filename,
    index: 0,
    content: new Blob([PIXELS]),
    mediaType: 'image/png',
    ...changes,
  };
}

/** Bytes of a {@link storedFile}. */
export const PIXELS = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 31) % 256);

export const never = (): AbortSignal => new AbortController().signal;
