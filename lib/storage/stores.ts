import type { z } from 'zod';
import type { Config } from '../config.ts';
import { azureStore } from './azure.ts';
import { httpStore, putStore } from './http-stores.ts';
import { huggingFaceStore } from './hugging-face.ts';
import { s3Store } from './s3/store.ts';
import type { Store, StoreSettings } from './storage.ts';
import { volumeStore } from './volume.ts';

/**
 * All stores, in the order they are tried. The fields of a job's `output`, the values of `output.delivery` and the messages
 * about missing stores are made from this table.
 */
const STORE_TABLE = [
  s3Store,
  azureStore,
  huggingFaceStore,
  httpStore,
  putStore,
  volumeStore,
] as const;

export const STORES: readonly Store[] = STORE_TABLE;

type AnyStore = (typeof STORE_TABLE)[number];
type OutputStore = Exclude<AnyStore, typeof s3Store | typeof volumeStore>;
type DemandedStore = Extract<AnyStore, { whyMissing: unknown }>;

/** The fields of `output` that name a store, as zod schemas. */
export const STORE_FIELDS = Object.fromEntries(
  STORE_TABLE.filter((store) => store !== s3Store && store !== volumeStore).map(
    ({ name, schema }) => [name, schema.optional()],
  ),
) as { readonly [S in OutputStore as S['name']]: z.ZodOptional<S['schema']> };

/** Stores that `output.delivery` may demand by name. */
export const DEMANDED_STORES: readonly DemandedStore['name'][] = STORE_TABLE.flatMap((store) =>
  'whyMissing' in store ? [store.name] : [],
);

export function storeSettings(config: Config): StoreSettings {
  return {
    volumeFolder: config.OUTPUT_VOLUME_DIR,
    allowPrivate: config.UPLOAD_ALLOW_PRIVATE,
    urlExpiresS: config.BUCKET_URL_EXPIRES_S,
  };
}
