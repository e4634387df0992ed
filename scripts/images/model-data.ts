import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** A model file of an image. */
const ModelFileSchema = z.strictObject({
  /** Folder in ComfyUI's `models`. */
  folder: z.string().regex(/^[a-z_]+$/),
  filename: z.string().regex(/^[\w.-]+$/),
  url: z.url({ protocol: /^https$/ }),
  /** Bytes. */
  size: z.int().positive().optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** The reason why size or hash is missing. */
  unverified: z.string().optional(),
});

/** An image with models. */
const ModelSchema = z.strictObject({
  /** The target of the bake file, `MODEL_TYPE`, and the suffix of the tag. */
  name: z.string().regex(/^[a-z0-9-]+$/),
  /** Smallest GPU memory that is known to work. */
  vram_gb: z.int().positive(),
  /** Container disk. */
  disk_gb: z.int().positive(),
  /** Whether Hugging Face asks for an account that has accepted the licence. */
  needs_token: z.boolean(),
  /** Node packs, as `URL@commit`. */
  nodes: z.array(z.string().regex(/^https:\/\/\S+@[0-9a-f]{40}$/)),
  files: z.array(ModelFileSchema).min(1),
});

export type Model = z.infer<typeof ModelSchema>;

const BakeDataSchema = z.object({
  variable: z.object({
    MODELS: z.object({ default: z.array(ModelSchema) }),
  }),
});

/** The file that the bake file, the documents and the tests read. */
export const MODEL_DATA = 'docker-bake.json';

/** The images with models. @throws when the file does not parse. */
export function models(): readonly Model[] {
  const data = BakeDataSchema.parse(JSON.parse(readFileSync(MODEL_DATA, 'utf8')));
  return data.variable.MODELS.default;
}
