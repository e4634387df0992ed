import { z } from 'zod';

const count = z.int().min(0);
const pixels = z.int().min(1).max(16_384);
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' });
const headers = z.record(z.string(), z.string());

const ConvertSchema = z.strictObject({
  format: z.enum(['webp', 'jpeg', 'png', 'avif']).optional(),
  quality: z.int().min(1).max(100).optional(),
  lossless: z.boolean().optional(),
  maxWidth: pixels.optional(),
  maxHeight: pixels.optional(),
  /** Whether what ComfyUI writes into its pictures (prompt, workflow) stays. */
  keepMetadata: z.boolean().optional(),
});

/** A URL the caller has signed, for one of the outputs: in order, by place or by name. */
const PutTargetSchema = z.strictObject({
  url: httpUrl,
  method: z.enum(['PUT', 'POST']).optional(),
  /** Form fields that go before the file of a POST; with `${filename}` in `key` the form takes any number of files. */
  fields: z.record(z.string(), z.string()).optional(),
  headers: headers.optional(),
  /** A file name, in which `*` stands for anything. */
  match: z.string().min(1).optional(),
  /** Place among the outputs, from 0. */
  index: count.optional(),
});

const AzureSchema = z.strictObject({
  /** `https://<account>.blob.core.windows.net/<container>`, with a SAS unless there is a key. */
  url: httpUrl,
  accountKey: z.string().min(1).optional(),
  /** Folder for the files; the job's id when absent. */
  prefix: z.string().optional(),
});

const HuggingFaceSchema = z.strictObject({
  repo: z.string().min(1),
  repoType: z.enum(['model', 'dataset', 'space']).optional(),
  token: z.string().min(1),
  /** Branch; `main` when absent. */
  revision: z.string().min(1).optional(),
  /** Folder for the files; the job's id when absent. */
  directory: z.string().optional(),
  /** A hub other than huggingface.co. */
  hubUrl: httpUrl.optional(),
});

const HttpSchema = z.strictObject({ urlPrefix: httpUrl, headers: headers.optional() });

/** `input.output`: what comes back, in which form, and to where. A name that is none of these is refused: it is a typo. */
export const OutputOptionsSchema = z.strictObject({
  /** `mediaType`: also what ComfyUI calls images is sorted by what it is. */
  groupBy: z.enum(['key', 'mediaType']).optional(),
  details: z.boolean().optional(),
  /** Ids or titles of the nodes whose outputs come back. */
  nodes: z.array(z.union([z.string(), z.int().transform(String)])).optional(),
  includeTemp: z.boolean().optional(),
  /** How many of each must come back; fewer is a failure. */
  expect: z
    .strictObject({
      images: count.optional(),
      videos: count.optional(),
      audio: count.optional(),
      files: count.optional(),
      texts: count.optional(),
    })
    .optional(),
  /** A workflow of which ComfyUI takes only a part fails. */
  strict: z.boolean().optional(),
  convert: ConvertSchema.optional(),
  delivery: z.enum(['auto', 'inline', 's3', 'put', 'volume']).optional(),
  put: z.array(PutTargetSchema).optional(),
  azure: AzureSchema.optional(),
  huggingFace: HuggingFaceSchema.optional(),
  http: HttpSchema.optional(),
});

export type OutputOptions = z.infer<typeof OutputOptionsSchema>;

/** A bucket as RunPod names its parts, at `input.s3Config` or beside `input`. */
export const S3ConfigSchema = z.object({
  accessId: z.string().min(1),
  accessSecret: z.string().min(1),
  bucketName: z.string().min(1),
  endpointUrl: httpUrl,
  /** What object keys begin with. */
  objectPath: z.string().nullish(),
  region: z.string().nullish(),
});
