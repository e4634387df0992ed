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
  /** Keep the prompt and the workflow that ComfyUI writes into its images. */
  keepMetadata: z.boolean().optional(),
});

/** A URL the caller has signed, for one output: the next one in order, the one at `index`, or those whose names `match`. */
const PutTargetSchema = z.strictObject({
  url: httpUrl,
  method: z.enum(['PUT', 'POST']).optional(),
  /** Form fields of a POST, sent before the file. With `${filename}` in `key` the URL takes any number of files. */
  fields: z.record(z.string(), z.string()).optional(),
  headers: headers.optional(),
  /** A file name; `*` matches any text. */
  match: z.string().min(1).optional(),
  /** Position among the outputs, from 0. */
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

/** `input.output`: what comes back, in which form, and where it is stored. Unknown names are refused, because they are typos. */
export const OutputOptionsSchema = z.strictObject({
  /** `mediaType`: sort all files by their media type, also those ComfyUI lists under `images`. */
  groupBy: z.enum(['key', 'mediaType']).optional(),
  details: z.boolean().optional(),
  /** Ids or titles of the nodes whose outputs come back. */
  nodes: z.array(z.union([z.string(), z.int().transform(String)])).optional(),
  includeTemp: z.boolean().optional(),
  /** The least number of each that must come back; with fewer the job fails. */
  expect: z
    .strictObject({
      images: count.optional(),
      videos: count.optional(),
      audio: count.optional(),
      files: count.optional(),
      texts: count.optional(),
    })
    .optional(),
  /** Fail the job if ComfyUI accepts only a part of the workflow. */
  strict: z.boolean().optional(),
  convert: ConvertSchema.optional(),
  delivery: z.enum(['auto', 'inline', 's3', 'put', 'volume']).optional(),
  put: z.array(PutTargetSchema).optional(),
  azure: AzureSchema.optional(),
  huggingFace: HuggingFaceSchema.optional(),
  http: HttpSchema.optional(),
});

export type OutputOptions = z.infer<typeof OutputOptionsSchema>;

/** A bucket with the field names of RunPod, at `input.s3Config` or beside `input`. */
export const S3ConfigSchema = z.object({
  accessId: z.string().min(1),
  accessSecret: z.string().min(1),
  bucketName: z.string().min(1),
  endpointUrl: httpUrl,
  /** Prefix of the object keys. */
  objectPath: z.string().nullish(),
  region: z.string().nullish(),
});
