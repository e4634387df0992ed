import pLimit from 'p-limit';
import { describeError } from '../errors.ts';
import type { Destination, Storage, Stored, StoredFile } from './storage.ts';

export interface OneByOneOptions extends Pick<Destination, 'name' | 'itemType'> {
  /** Uploads side by side. */
  readonly transfers: number;
}

/** A store of single files as a destination: one that fails does not hold up the others. */
export function oneByOne(
  storage: Storage,
  { transfers, ...described }: OneByOneOptions,
): Destination {
  const store = async (files: readonly StoredFile[], signal: AbortSignal) => {
    const limit = pLimit(transfers);
    const stored = await Promise.all(
      files.map((file) => limit(() => storeOne(storage, file, signal))),
    );
    signal.throwIfAborted();
    return stored;
  };
  return { ...described, store, [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose]() };
}

async function storeOne(storage: Storage, file: StoredFile, signal: AbortSignal): Promise<Stored> {
  try {
    return { address: await storage.put(file, signal) };
  } catch (error) {
    return { problem: describeError(error) };
  }
}
