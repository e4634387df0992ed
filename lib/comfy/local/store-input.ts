import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { WorkerError } from '../../errors.ts';
import type { InputToStore, StoredInput } from '../backend.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { SharedFolder } from './shared-folder.ts';

/**
 * Puts a file into ComfyUI's input folder: by upload, or over the shared disk when it is too large to upload.
 * @throws WorkerError `comfy.request_failed`, `comfy.protocol`, or `input.upload_failed` when neither way is possible.
 */
export async function storeInput(
  file: InputToStore,
  options: {
    readonly client: ComfyClient;
    readonly inputFolder: SharedFolder;
    /** The size of a request that every ComfyUI accepts. */
    readonly uploadBytes: number;
  },
  signal: AbortSignal,
): Promise<StoredInput> {
  const { client, inputFolder } = options;
  const { name, subfolder = '', content, maskOf } = file;
  const maxBytes = await maxUploadBytes(content.size, options, signal);
  if (content.size <= maxBytes) {
    const stored = await client.uploadFile(file, signal);
    // For a mask without its original ComfyUI answers 200 and stores nothing (`server.py`, `upload_mask`).
    if (!maskOf || (await client.hasFile({ ...stored, filename: stored.name }, signal)))
      return stored;
    throw new WorkerError(
      'input.upload_failed',
      `ComfyUI did not store the mask: it has no image "${maskOf.filename}" of the type "${maskOf.type}" to put it on`,
    );
  }
  const folder = maskOf ? undefined : await inputFolder.path(signal);
  if (folder === undefined) throw tooLarge(file, maxBytes);
  await writeInto(folder, file, signal);
  return { name, subfolder, type: 'input' };
}

/** ComfyUI is asked for its limit only when the default one would be exceeded. */
async function maxUploadBytes(
  bytes: number,
  { client, uploadBytes }: { readonly client: ComfyClient; readonly uploadBytes: number },
  signal: AbortSignal,
): Promise<number> {
  if (bytes <= uploadBytes - FORM_BYTES) return uploadBytes - FORM_BYTES;
  const features = await client.getInfo('/features', signal).catch(() => undefined);
  signal.throwIfAborted();
  const reported = features?.get('max_upload_size')?.value();
  return (typeof reported === 'number' ? reported : uploadBytes) - FORM_BYTES;
}

/** Writes beside the target and renames: ComfyUI never sees a part, and a prompt that reads the old file keeps it. */
async function writeInto(
  folder: string,
  { name, subfolder = '', content }: InputToStore,
  signal: AbortSignal,
): Promise<void> {
  const target = resolve(folder, subfolder, name);
  if (!target.startsWith(resolve(folder) + sep))
    throw new WorkerError(
      'input.upload_failed',
      `The name ${JSON.stringify(name)} leads out of the input folder`,
    );
  const part = join(dirname(target), `.${randomUUID()}.part`);
  await mkdir(dirname(target), { recursive: true });
  try {
    await pipeline(content.stream(), createWriteStream(part, { flags: 'wx' }), { signal });
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    throw signal.aborted ? signal.reason : error;
  }
}

function tooLarge({ content, maskOf }: InputToStore, maxBytes: number): WorkerError {
  const remedy = maskOf
    ? 'a mask can only be uploaded'
    : 'its input folder is on no disk that this worker sees; set COMFY_INPUT_DIR to it, or start ComfyUI with a larger --max-upload-size';
  return new WorkerError(
    'input.upload_failed',
    `The file has ${content.size} bytes. ComfyUI takes uploads of at most ${maxBytes}, and ${remedy}`,
  );
}

/** Reserved for the other fields of the form. */
const FORM_BYTES = 4096;
