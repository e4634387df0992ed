import type { S3Auth } from './credentials.ts';
import { authFor, type Credential } from './credentials.ts';
import { refused } from './refusal.ts';

/**
 * The http(s) URL behind `s3://bucket/key`: signed for an hour with the credentials meant for it, or Amazon's own when
 * there are none, which is enough for public objects. From there on it is a download like any other.
 */
export async function toHttpUrl(url: URL, credentials: readonly Credential[]): Promise<URL> {
  const auth = authFor(url, credentials);
  if (auth && auth.type !== 's3') {
    throw refused(url, `the credentials for it are of the type "${auth.type}"; s3:// needs "s3"`);
  }
  const object = { Bucket: url.host, Key: keyOf(url) };
  if (object.Bucket === '' || object.Key === '') throw refused(url, 'expected s3://bucket/key');
  if (auth) return new URL(await presign(object, auth));
  return new URL(`https://${object.Bucket}.s3.amazonaws.com/${encodeKey(object.Key)}`);
}

/** Characters escaped in the URL stand for themselves in the key. */
function keyOf({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname.slice(1));
  } catch {
    return pathname.slice(1);
  }
}

const encodeKey = (key: string) => key.split('/').map(encodeURIComponent).join('/');

async function presign(object: { Bucket: string; Key: string }, auth: S3Auth): Promise<string> {
  const [{ GetObjectCommand, S3Client }, { getSignedUrl }] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@aws-sdk/s3-request-presigner'),
  ]);
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token } = auth;
  const client = new S3Client({
    region: auth.region ?? 'us-east-1',
    credentials: {
      accessKeyId,
      secretAccessKey,
      ...(session_token === undefined ? {} : { sessionToken: session_token }),
    },
    // Stores other than Amazon's know the bucket by the path.
    ...(auth.endpoint === undefined ? {} : { endpoint: auth.endpoint, forcePathStyle: true }),
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  try {
    return await getSignedUrl(client, new GetObjectCommand(object), { expiresIn: 3600 });
  } finally {
    client.destroy();
  }
}
