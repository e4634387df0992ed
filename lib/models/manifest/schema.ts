import { basename } from 'node:path';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { WorkerError } from '../../errors.ts';

/** The format of `manifest.yaml` and `manifest.lock.yaml`. docs/models.md describes it. */

/** Words of a command line that no program takes for an option. */
const word = z.string().regex(/^[^-\s][^\s]*$/, 'must be one word that does not begin with "-"');

const ModelUrlSchema = z
  .string()
  .refine((url) => /^(?:https?|s3):\/\/./.test(url) && URL.canParse(url), 'must be a URL');

/** A folder within ComfyUI's `models`. */
const FolderSchema = z
  .string()
  .refine(isInnerPath, 'must be a folder below models, such as loras or loras/style');

const Sha256Schema = z
  .string()
  .transform((text) => text.toLowerCase())
  .pipe(z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256: 64 hex digits'));

/** One model file. */
const ModelEntrySchema = z.strictObject({
  url: ModelUrlSchema,
  folder: FolderSchema,
  /** Default: the last part of the URL. */
  filename: z
    .string()
    .refine((name) => isInnerPath(name) && !name.includes('/'), 'must be a file name')
    .optional(),
  /** Commit, branch or tag at Hugging Face. */
  revision: word.optional(),
  sha256: Sha256Schema.optional(),
  /** Bytes. */
  size: z.int().positive().optional(),
  /** The reason why there is no SHA-256 or size, or any other remark. */
  note: z.string().optional(),
});

export type ModelEntry = z.infer<typeof ModelEntrySchema>;

/** A node pack: a git repository at a commit or tag, or a package of Comfy's registry. */
const NodePackSchema = z.union(
  [
    z.strictObject({
      url: word.pipe(z.string().regex(/^(?:https?|ssh|git|file):\/\/|^git@/)),
      ref: word,
    }),
    z.strictObject({ name: word, version: word.optional() }),
  ],
  'must have url and ref (a commit or tag), or name and version of the registry',
);

export type NodePack = z.infer<typeof NodePackSchema>;

const MAX_ITEMS = 1000;
const list = <T>(schema: z.ZodType<T>) => z.array(schema).max(MAX_ITEMS).default([]);

export const ManifestSchema = z.strictObject({
  version: z.literal(1).default(1),
  apt: list(word),
  pip: list(word),
  custom_nodes: list(NodePackSchema),
  models: z
    .strictObject({ before_start: list(ModelEntrySchema), after_start: list(ModelEntrySchema) })
    .default({ before_start: [], after_start: [] }),
  /** Workflows, as files (relative to the manifest) or URLs. */
  warmup: list(z.string().min(1)),
});

export type Manifest = z.infer<typeof ManifestSchema>;

/** The lock file: answers of the sites about the models of a manifest, and the commits of its node packs. */
export const LockSchema = z.strictObject({
  version: z.literal(1),
  models: list(
    z.strictObject({
      url: z.string(),
      /** As in the manifest. */
      revision: z.string().optional(),
      /** The commit that it stood for. */
      commit: z.string().optional(),
      sha256: Sha256Schema.optional(),
      size: z.int().positive().optional(),
      filename: z.string().optional(),
    }),
  ),
  custom_nodes: list(z.strictObject({ url: z.string(), ref: z.string(), commit: z.string() })),
});

export type Lock = z.infer<typeof LockSchema>;

/**
 * Parses YAML (or JSON) by a schema.
 * @param where names the file in errors
 * @throws WorkerError `manifest.invalid` with a line for each problem
 */
export function parseYaml<S extends z.ZodType>(text: string, schema: S, where: string): z.infer<S> {
  const document = parseDocument(text, { prettyErrors: true });
  const broken = document.errors.map(({ message }) => message.split('\n')[0] ?? message);
  if (broken.length > 0) throw invalidManifest(where, broken);
  const parsed = schema.safeParse(document.toJS({ maxAliasCount: 100 }) ?? {});
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${shown(path)}: ${message}`);
  throw invalidManifest(where, problems);
}

export function invalidManifest(where: string, problems: readonly string[]): WorkerError {
  const lines = problems.map((problem) => `\n  ${problem}`).join('');
  return new WorkerError('manifest.invalid', `${where} is not usable:${lines}`, {
    details: problems,
  });
}

/** `models.before_start[2].url` */
function shown(path: readonly PropertyKey[]): string {
  const text = path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('');
  return text === '' ? 'the whole file' : text.replace(/^\./, '');
}

function isInnerPath(path: string): boolean {
  const steps = path.split('/');
  return !/[\\\0]/.test(path) && steps.every((step) => !['', '.', '..'].includes(step));
}

/** The name of a model's file: as given, else the last part of the URL. */
export function filenameOf({ filename, url }: Pick<ModelEntry, 'filename' | 'url'>): string {
  const last = basename(URL.parse(url)?.pathname ?? '');
  return filename ?? decodeURIComponent(last);
}
