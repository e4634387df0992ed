import { WorkerError } from '../../errors.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { InputToStore, StoredInput } from '../backend.ts';
import type { SharedFolder } from './shared-folder.ts';

interface Parts {
  readonly client: ComfyClient;
  readonly folder: SharedFolder;
}

/**
 * Puts a file into ComfyUI's input folder: by upload, or, when it is too large for one, through the disk.
 * @throws WorkerError `comfy.request_failed`, `comfy.protocol`, or `input.upload_failed` when there is no way.
 */
export async function storeInput(
  image: InputToStore,
  { client, folder }: Parts,
  signal: AbortSignal,
): Promise<StoredInput> {
  const { name, subfolder = '', content } = image;
  const limit = await uploadLimit(content.size, client, signal);
  if (content.size <= limit) return await upload(image, client, signal);
  const path = image.maskOf ? undefined : await folder.path(signal);
  if (path === undefined) throw tooLarge(image, limit);
  await folder.put(path, image, signal);
  return { name, subfolder, type: 'input' };
}

/** A mask whose original is not found is answered like one that is, and not stored (`server.py`, `upload_mask`). */
async function upload(
  image: InputToStore,
  client: ComfyClient,
  signal: AbortSignal,
): Promise<StoredInput> {
  const stored = await client.uploadImage(image, signal);
  if (!image.maskOf) return stored;
  const { name: filename, subfolder, type } = stored;
  if (await client.hasFile({ filename, subfolder, type }, signal)) return stored;
  throw new WorkerError(
    'input.upload_failed',
    `ComfyUI did not store the mask: it has no image "${image.maskOf.filename}" of the type "${image.maskOf.type}" to put it on`,
  );
}

/** Asked for only when the usual one is in the way. */
async function uploadLimit(
  bytes: number,
  client: ComfyClient,
  signal: AbortSignal,
): Promise<number> {
  if (bytes <= USUAL_LIMIT - FORM_BYTES) return USUAL_LIMIT - FORM_BYTES;
  const features = await client.json('/features', signal).catch(() => undefined);
  signal.throwIfAborted();
  const told = features?.get('max_upload_size')?.value();
  return (typeof told === 'number' ? told : USUAL_LIMIT) - FORM_BYTES;
}

/** What `--max-upload-size` is when nobody sets it; it bounds the whole request. */
const USUAL_LIMIT = 100 * 1024 * 1024;
const FORM_BYTES = 4096;

function tooLarge({ content, maskOf }: InputToStore, limit: number): WorkerError {
  const way = maskOf
    ? 'a mask can only be uploaded'
    : 'its input folder is on no disk that this worker sees; set COMFY_INPUT_DIR to it, or start ComfyUI with a larger --max-upload-size';
  return new WorkerError(
    'input.upload_failed',
    `The file has ${content.size} bytes. ComfyUI takes uploads of at most ${limit}, and ${way}`,
  );
}
