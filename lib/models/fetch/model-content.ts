/** Recognises files that are no models, although they arrived with status 200. */

/** Bytes from the beginning of a file that {@link problemOfHead} looks at. */
export const HEAD_BYTES = 512;

/**
 * The reason why a file that begins like this is not the model that its name promises; undefined if it may be.
 * @param total bytes of the whole file, if known
 */
export function problemOfHead(
  head: Buffer,
  { filename, total }: { readonly filename: string; readonly total: number | undefined },
): string | undefined {
  const text = head.toString('latin1').trimStart();
  if (/^<(?:!doctype html|html|head|script)\b/i.test(text))
    return 'it is an HTML page, such as a login page, and no model';
  if (text.startsWith('version https://git-lfs.github.com/spec/'))
    return 'it is a pointer of Git LFS, not the file itself; use the /resolve/ URL of the site';
  if (/\.gguf$/i.test(filename) && !text.startsWith('GGUF'))
    return 'it does not begin like a GGUF file';
  if (!isSafetensors(filename)) return undefined;
  if (head.length < 8) return 'it is too short for a safetensors file';
  const bytes = safetensorsHeaderBytes(head);
  const isPossible = bytes >= 2 && bytes <= MAX_HEADER && 8 + bytes <= (total ?? Infinity);
  const isObject = head.length === 8 || head[8] === 0x7b; // {
  return isPossible && isObject ? undefined : 'it does not begin like a safetensors file';
}

/**
 * Reads the whole header of a safetensors file: the places of all tensors.
 * @param read gives the first bytes of the file
 * @returns the reason why it is broken; undefined if it is fine, or no safetensors file
 */
export async function problemOfSafetensors(
  read: (bytes: number) => Promise<Buffer>,
  { filename, total }: { readonly filename: string; readonly total: number },
): Promise<string | undefined> {
  if (!isSafetensors(filename)) return undefined;
  const bytes = safetensorsHeaderBytes(await read(8));
  const header = (await read(8 + bytes)).subarray(8).toString();
  try {
    const tensors = Object.entries(JSON.parse(header) as Record<string, unknown>);
    const ends = tensors.flatMap(([name, tensor]) =>
      name === '__metadata__'
        ? []
        : [(tensor as { data_offsets: [number, number] }).data_offsets[1]],
    );
    const expected = 8 + bytes + Math.max(0, ...ends);
    if (expected === total) return undefined;
    return `its safetensors header promises ${expected} bytes, and it has ${total}`;
  } catch {
    return 'its safetensors header is broken';
  }
}

const isSafetensors = (filename: string) => /\.(?:safetensors|sft)$/i.test(filename);

/** The length of the JSON that follows the first eight bytes. */
const safetensorsHeaderBytes = (head: Buffer) =>
  head.length < 8 ? 0 : Number(head.readBigUInt64LE(0));

/** The limit of the format itself. */
const MAX_HEADER = 100_000_000;
