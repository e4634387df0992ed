import { WorkerError } from '../../lib/errors.ts';
import type { Job } from '../../lib/queues/queue.ts';
import { openCallerBucket } from '../../lib/storage/s3/caller-bucket.ts';
import { oneByOne } from '../../lib/storage/one-by-one.ts';
import type { Destination, Storage } from '../../lib/storage/storage.ts';
import { S3ConfigSchema } from '../request/output-options.ts';
import { describeIssue, type JobInput } from '../request/job-input.ts';
import type { UploadSettings } from './upload-settings.ts';

/** The job, as far as it says where its files go. */
export interface DeliveryRequest {
  readonly job: Pick<Job, 'source'>;
  readonly input: Pick<JobInput, 'output' | 's3Config'>;
}

export interface DestinationParts {
  /** The worker's own bucket. */
  readonly storage?: Storage;
  /** Uploads side by side. */
  readonly transfers: number;
  readonly uploads: UploadSettings;
}

export type DestinationKind = 's3' | 'azure' | 'huggingFace' | 'http' | 'put' | 'volume';

/** In the order they are tried. */
export const DESTINATION_KINDS: readonly DestinationKind[] = [
  's3',
  'azure',
  'huggingFace',
  'http',
  'put',
  'volume',
];

/** Those the caller has named in the job; a bucket of the worker is not among them. */
export function namedKinds({
  job,
  input: { output, s3Config },
}: DeliveryRequest): DestinationKind[] {
  const bucket = s3Config ?? jobLevelBucket(job);
  const named = { ...output, s3: bucket, volume: undefined };
  return DESTINATION_KINDS.filter((kind) => named[kind] !== undefined);
}

/** Opens one, if this job or this worker has it. Nothing is connected yet. */
export async function maybeOpen(
  kind: DestinationKind,
  request: DeliveryRequest,
  parts: DestinationParts,
): Promise<Destination | undefined> {
  const { output } = request.input;
  switch (kind) {
    case 's3':
      return openBucket(request, parts);
    case 'azure':
      return output.azure && (await openAzure(output.azure, parts));
    case 'huggingFace':
      return output.huggingFace && (await openHuggingFace(output.huggingFace, parts));
    case 'http':
      return output.http && (await openHttpFolder(output.http, parts));
    case 'put':
      return output.put && (await openPutTargets(output.put, parts));
    case 'volume':
      return await openVolume(parts);
  }
}

function openBucket(
  { job, input }: DeliveryRequest,
  { storage, transfers, uploads }: DestinationParts,
): Destination | undefined {
  const described = { name: 'S3', itemType: 's3_url', transfers } as const;
  const sent = input.s3Config ?? jobLevelBucket(job);
  if (sent) return oneByOne(openCallerBucket(sent, uploads), described);
  return storage && oneByOne(shared(storage), described);
}

/** RunPod takes `s3Config` beside `input`, and hands it on; clients send an empty one for none. */
function jobLevelBucket({ source }: DeliveryRequest['job']): JobInput['s3Config'] {
  const sent = source.get('s3Config')?.value();
  if (typeof sent !== 'object' || sent === null || Object.keys(sent).length === 0) return undefined;
  const parsed = S3ConfigSchema.safeParse(sent);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `s3Config${describeIssue(issue)}`);
  throw new WorkerError('input.invalid', problems.join('\n'));
}

/** The bucket of the worker outlives the job. */
const shared = (storage: Storage): Storage => ({
  put: (file, signal) => storage.put(file, signal),
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

type Output = JobInput['output'];

async function openAzure(
  settings: NonNullable<Output['azure']>,
  { transfers, uploads }: DestinationParts,
): Promise<Destination> {
  const { openAzureBlobs } = await import('../../lib/storage/azure.ts');
  const storage = await openAzureBlobs(settings, uploads);
  return oneByOne(storage, { name: 'Azure', itemType: 'url', transfers });
}

async function openHuggingFace(
  settings: NonNullable<Output['huggingFace']>,
  { uploads }: DestinationParts,
): Promise<Destination> {
  const { HuggingFaceRepo } = await import('../../lib/storage/hugging-face.ts');
  return new HuggingFaceRepo(settings, uploads);
}

async function openHttpFolder(
  settings: NonNullable<Output['http']>,
  { transfers, uploads }: DestinationParts,
): Promise<Destination> {
  const [{ HttpFolder }, { Sender }] = await Promise.all([
    import('../../lib/storage/http-folder.ts'),
    import('../../lib/storage/sender.ts'),
  ]);
  const storage = new HttpFolder(settings, new Sender(uploads));
  return oneByOne(storage, { name: 'output.http', itemType: 'url', transfers });
}

async function openPutTargets(
  targets: NonNullable<Output['put']>,
  { transfers, uploads }: DestinationParts,
): Promise<Destination> {
  const [{ PutTargets }, { Sender }] = await Promise.all([
    import('../../lib/storage/put-targets.ts'),
    import('../../lib/storage/sender.ts'),
  ]);
  return new PutTargets(targets, { sender: new Sender(uploads), transfers });
}

async function openVolume({
  transfers,
  uploads: { volumeFolder },
}: DestinationParts): Promise<Destination | undefined> {
  const { hasVolume, Volume } = await import('../../lib/storage/volume.ts');
  if (!(await hasVolume(volumeFolder))) return undefined;
  return oneByOne(new Volume(volumeFolder), {
    name: 'the volume',
    itemType: 'volume_path',
    transfers,
  });
}
