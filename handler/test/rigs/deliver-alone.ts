import { openAsBlob } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { JsonText } from '../../../lib/json.ts';
import type { StoreSettings } from '../../../lib/storage/storage.ts';
import type { Artifact } from '../../outputs/artifact.ts';
import { deliver } from '../../delivery/deliver.ts';
import { planDelivery, type DeliveryPlan } from '../../delivery/plan.ts';
import { parseInput } from '../../request/job-input.ts';

/** A delivery that runs in its own process, so that only its memory is measured. */
export interface Errand {
  /** File with what is delivered. */
  readonly path: string;
  /** The input of a job, less its workflow. */
  readonly input: object;
  readonly storeSettings: StoreSettings;
}

export interface Done {
  readonly types: readonly string[];
  readonly problems: readonly string[];
  /** Most memory at any time beyond what a small file needed, in bytes. */
  readonly peakBytes: number;
}

process.once('message', (errand: Errand) => {
  void run(errand).then((done) => process.send?.(done, () => process.disconnect()));
});

async function run({ path, input, storeSettings }: Errand): Promise<Done> {
  const request = {
    job: { source: JsonText.of({}) },
    input: parseInput(JsonText.of({ ...input, workflow: {} })),
  };
  await using plan = await planDelivery(request, {
    transfers: 4,
    storeSettings,
    maxResultBytes: 1,
  });
  await handOver(new Blob(['small']), { jobId: 'small', problems: [] }, plan);
  const before = process.memoryUsage.rss();
  using watch = watchMemory();
  const problems: string[] = [];
  const files = await handOver(await openAsBlob(path), { jobId: 'large', problems }, plan);
  return { types: files.map(({ type }) => type), problems, peakBytes: watch.peak() - before };
}

function handOver(
  content: Blob,
  job: { readonly jobId: string; readonly problems: string[] },
  plan: DeliveryPlan,
) {
  const named = { nodeId: '1', key: 'gifs', filename: 'v.mp4', subfolder: '', type: 'output' };
  const artifact: Artifact = { ...named, mediaType: 'video/mp4', content };
  const scope = { ...job, signal: new AbortController().signal, storeUntil: Infinity };
  return deliver([artifact], scope, { plan });
}

function watchMemory() {
  const ended = new AbortController();
  let peak = 0;
  const look = async () => {
    while (!ended.signal.aborted) {
      peak = Math.max(peak, process.memoryUsage.rss());
      await pause(5);
    }
  };
  void look();
  return { peak: () => peak, [Symbol.dispose]: () => ended.abort() };
}
