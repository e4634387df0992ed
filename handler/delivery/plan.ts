import { WorkerError, shownLines } from '../../lib/errors.ts';
import type { Job } from '../../lib/queues/queue.ts';
import { s3Store } from '../../lib/storage/s3/store.ts';
import type { Destination, Storage, Store, StoreSettings } from '../../lib/storage/storage.ts';
import { STORES } from '../../lib/storage/stores.ts';
import { isMeantDestination } from '../request/empty-options.ts';
import { describeIssue, type JobInput } from '../request/job-input.ts';

/** The parts of a job that say where its files go. */
export interface DeliveryRequest {
  readonly job: Pick<Job, 'source'>;
  readonly input: Pick<JobInput, 'output' | 's3Config'>;
  /** Gets a line for each setting that is ignored. */
  readonly note?: (text: string) => void;
}

/** The worker, as far as deliveries depend on it. */
export interface DeliveryParts {
  /** The worker's own bucket, of the `BUCKET_*` variables. */
  readonly workerBucket?: Storage;
  /** Uploads at the same time. */
  readonly transfers: number;
  readonly storeSettings: StoreSettings;
  /** The largest result the worker posts, in bytes of JSON. */
  readonly maxResultBytes: number;
}

/** How the files of one job are delivered. */
export interface DeliveryPlan extends AsyncDisposable {
  /** Whether files go into the result, as base64, before any destination is tried. */
  readonly inline: 'always' | 'if it fits' | 'never';
  /** Tried in this order. A file that one refuses goes to the next. */
  readonly destinations: readonly Destination[];
  readonly maxResultBytes: number;
}

/**
 * Reads where the caller wants the files, and opens those stores. Called before the workflow runs: a job that cannot be
 * delivered costs no GPU time.
 *
 * Without `output.delivery`, files go to the stores the job names, else to the bucket of the worker, else into the result.
 * @throws WorkerError `input.invalid`, `output.no_destination`
 */
export async function planDelivery(
  request: DeliveryRequest,
  { workerBucket, transfers, storeSettings, maxResultBytes }: DeliveryParts,
): Promise<DeliveryPlan> {
  const { delivery } = request.input.output;
  const context = { ...storeSettings, transfers, workerBucket };
  const settings = sentSettingsOf(request);
  const stores = storesFor(delivery, { settings, hasBucket: workerBucket !== undefined });

  await using opened = new AsyncDisposableStack();
  const destinations: Destination[] = [];
  for (const store of stores) {
    const destination = await store.open(settings.get(store), context);
    if (destination) destinations.push(opened.use(destination));
    else if (store.name === delivery) {
      const text = `output.delivery is ${JSON.stringify(delivery)}, but ${store.whyMissing?.(storeSettings) ?? store.hint}`;
      throw new WorkerError('output.no_destination', text);
    }
  }
  const kept = opened.move();
  const otherwise = delivery === 'auto' ? 'if it fits' : 'never';
  return {
    inline: stores.length === 0 ? 'always' : otherwise,
    destinations,
    maxResultBytes,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The settings a job sends, by store. */
function sentSettingsOf(request: DeliveryRequest): ReadonlyMap<Store, unknown> {
  const { input } = request;
  const sent = {
    ...input.output,
    s3: input.s3Config ?? s3ConfigBeside(request),
    volume: undefined,
  };
  return new Map(
    STORES.flatMap((store) => {
      const settings = sent[store.name as keyof typeof sent];
      return settings === undefined ? [] : [[store, settings]];
    }),
  );
}

/** The stores to try, in the order of the table. */
function storesFor(
  delivery: JobInput['output']['delivery'],
  { settings, hasBucket }: { settings: ReadonlyMap<Store, unknown>; hasBucket: boolean },
): readonly Store[] {
  switch (delivery) {
    case 'inline':
      return [];
    case 'auto':
      return STORES;
    case undefined:
      return settings.size > 0 || !hasBucket ? [...settings.keys()] : [s3Store];
    default:
      return STORES.filter(({ name }) => name === delivery);
  }
}

/** RunPod accepts `s3Config` beside `input` and hands it to the worker. Clients send an empty one, or an example, for none. */
function s3ConfigBeside({ job, note }: DeliveryRequest): JobInput['s3Config'] {
  const sent = job.source.get('s3Config')?.value();
  if (!isMeantDestination(sent, { name: 's3Config', note })) return undefined;
  const parsed = s3Store.schema.safeParse(sent);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `s3Config${describeIssue(issue)}`);
  throw new WorkerError('input.invalid', shownLines(problems).join('\n'));
}
