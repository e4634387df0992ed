/** What `/features` and the handshake say the server can do. */
export const MAX_UPLOAD_BYTES = 104_857_600;

export const SERVER_FEATURES = {
  supports_preview_metadata: true,
  max_upload_size: MAX_UPLOAD_BYTES,
  extension: { manager: { supports_v4: true } },
};

/**
 * The flags a client sends in its first frame. A frame that is no JSON leaves the chance open; any other JSON uses it up.
 */
export function maybeFeatureFlags(
  text: string,
): { readonly supports_preview_metadata?: unknown } | 'not json' | 'other' {
  const frame = parse(text);
  if (frame === undefined) return 'not json';
  if (!isObject(frame) || frame.type !== 'feature_flags') return 'other';
  return isObject(frame.data) ? frame.data : {};
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
