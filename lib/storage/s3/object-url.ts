import type { BucketSettings } from './bucket-settings.ts';

/** The URL of an object, as it is requested and signed. */
export function objectUrl(
  { endpoint, addressing }: Pick<BucketSettings, 'endpoint' | 'addressing'>,
  bucket: string,
  key: string,
): string {
  const path = key.split('/').map(encodeSegment).join('/');
  if (addressing === 'path') return `${endpoint}/${bucket}/${path}`;
  return `${endpoint.replace('://', `://${bucket}.`)}/${path}`;
}

/** Signatures are over text: everything but A-Z a-z 0-9 - _ . ~ has to be escaped, also what JavaScript leaves. */
function encodeSegment(segment: string): string {
  const escape = (character: string) =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  return encodeURIComponent(segment).replace(/[!'()*]/g, escape);
}
