import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Finds the files that a workflow names, in any model folder.
 * @param workflow any JSON value; each text in it may be the name of a model, such as `style/ink.safetensors`
 * @param roots folders with model folders: `checkpoints`, `loras`, ...
 * @returns their paths, each once
 */
export async function findModels(workflow: unknown, roots: readonly string[]): Promise<string[]> {
  const names = [...textsIn(workflow)].filter((name) => MODEL_NAME.test(name));
  const found: string[] = [];
  for (const root of roots) {
    const folders = await readdir(root).catch(() => []);
    for (const path of folders.flatMap((folder) => names.map((name) => join(root, folder, name))))
      if ((await stat(path).catch(() => undefined))?.isFile()) found.push(path);
  }
  return found;
}

/** No way out of the model folder. */
const MODEL_NAME = /^(?!.*\.\.)[^\0]{1,250}\.(?:safetensors|sft|ckpt|pt2?|pth|bin|gguf|onnx)$/i;

function textsIn(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value === 'string') found.add(value);
  else if (typeof value === 'object' && value !== null && found.size < MAX_TEXTS)
    for (const inner of Object.values(value)) textsIn(inner, found);
  return found;
}

const MAX_TEXTS = 10_000;

/**
 * Reads files once, one after the other, so that the system has them in memory when ComfyUI loads them. Files that cannot be
 * read are left out: ComfyUI will say why.
 * @param maxBytes more is not read
 * @returns the bytes that were read
 */
export async function readAhead(
  paths: readonly string[],
  { maxBytes, signal }: { readonly maxBytes: number; readonly signal: AbortSignal },
): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let bytes = 0;
  for (const path of paths) {
    await using file = await open(path).catch(() => undefined);
    for (let read = file ? 1 : 0; file && read > 0 && bytes < maxBytes && !signal.aborted;) {
      ({ bytesRead: read } = await file.read(buffer, 0, Math.min(CHUNK_BYTES, maxBytes - bytes)));
      bytes += read;
    }
  }
  return bytes;
}

const CHUNK_BYTES = 8 * 1024 * 1024;
