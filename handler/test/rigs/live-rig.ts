import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, test } from '@jest/globals';
import type { ImageBatch, NodeDefinition } from '../../../lib/simulator/comfy/nodes/node.ts';
import { NODES, SIMULATED_MODELS } from '../../../lib/simulator/comfy/nodes/registry.ts';
import { startComfySimulator } from '../../../lib/simulator/comfy/simulator.ts';
import { startComfyRelay, type ComfyRelay } from './comfy-relay.ts';
import { startWorkerRig, type WorkerRig } from './test-rig.ts';

/**
 * Tests that run against the embedded ComfyUI in `npm test`, and against any real one with `npm run test:live`. They use
 * nodes of ComfyUI itself only. A test that needs something the server lacks is skipped, with the reason in its title.
 */
export interface LiveComfy {
  readonly url: string;
  readonly version: string;
  /** Descriptions of the classes from `/object_info`. */
  readonly objectInfo: Readonly<Record<string, ClassInfo>>;
  /** The checkpoint that sampler tests use. */
  readonly checkpoint: string | undefined;
  /** ComfyUI's folders on this disk; undefined when they are not to be seen from here. */
  readonly folders: Folders | undefined;
  /** Beginning of the names of files that a test file makes, and a folder for them; no other client uses it. */
  readonly ownName: string;
  test(name: string, run: () => Promise<void>, needs?: Needs): void;
  startRig(environment?: Readonly<Record<string, string>>): Promise<LiveRig>;
  /** A workflow that works for about so long, in nodes between which ComfyUI can be interrupted, and saves one image. */
  slow(seconds: number): Promise<Workflow>;
}

export interface LiveRig extends WorkerRig {
  readonly relay: ComfyRelay;
  /** The history entry of the prompt, by its place in the order of acceptance. Waits until there is one. */
  ended(at: number): Promise<HistoryEntry>;
  /** Waits until ComfyUI runs, or has queued, that prompt. */
  until(state: 'running' | 'pending', at: number): Promise<string>;
  /** Interrupts the prompt, as another client would. */
  interrupt(promptId: string): Promise<void>;
}

interface HistoryEntry {
  readonly prompt: readonly [number, string, Workflow, ...unknown[]];
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly status: {
    readonly status_str: string;
    readonly messages: readonly (readonly [string, Readonly<Record<string, unknown>>])[];
  };
}

type Workflow = Readonly<
  Record<
    string,
    { readonly class_type: string; readonly inputs: Readonly<Record<string, unknown>> }
  >
>;

interface ClassInfo {
  readonly input: { readonly required?: Readonly<Record<string, readonly unknown[]>> };
}

interface Needs {
  readonly classes?: readonly string[];
  readonly checkpoint?: boolean;
  readonly folders?: boolean;
}

interface Folders {
  readonly input: string;
  readonly output: string;
}

/** Given by `scripts/test-live.ts` through jest's `--globals`. */
interface Target {
  readonly url: string;
  readonly folders?: Folders;
  readonly checkpoint?: string;
  /** Settings of the worker. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** To be called once at the top of a test file. The embedded ComfyUI ends after its tests. */
export async function openLiveComfy(): Promise<LiveComfy> {
  const { liveComfy } = globalThis as { readonly liveComfy?: Target };
  const target = liveComfy ?? (await startEmbedded());
  const get = async (path: string): Promise<unknown> =>
    (await fetch(`${target.url}${path}`)).json();
  const stats = (await get('/system_stats')) as { system: { comfyui_version: string } };
  const objectInfo = (await get('/object_info')) as Record<string, ClassInfo>;
  const folders =
    target.folders && (await isFolder(target.folders.output)) ? target.folders : undefined;
  const { url, checkpoint = checkpointsOf(objectInfo)[0] } = target;
  let blurMs: Promise<number> | undefined;
  const ownName = `live-${Date.now().toString(36)}`;
  afterAll(() => removeFolders(folders, ownName));
  const version = stats.system.comfyui_version;
  const live = { url, version, objectInfo, checkpoint, folders, ownName };
  return {
    ...live,
    test(name, run, needs = {}) {
      const missing = missingFor(needs, live);
      if (missing === undefined) test(name, run);
      else test.skip(`${name} (skipped: ${missing})`, run);
    },
    startRig: (environment) => startLiveRig(url, { ...target.environment, ...environment }),
    async slow(seconds) {
      blurMs ??= measureBlur(url);
      return chainOfBlurs(seconds * 1000, await blurMs);
    },
  };
}

function missingFor(
  { classes = [], checkpoint = false, folders = false }: Needs,
  live: Pick<LiveComfy, 'objectInfo' | 'checkpoint' | 'folders'>,
): string | undefined {
  const unknown = classes.filter((name) => !(name in live.objectInfo));
  if (unknown.length > 0) return `this ComfyUI has no ${unknown.join(', ')}`;
  if (checkpoint && live.checkpoint === undefined) return 'this ComfyUI has no checkpoint';
  if (folders && live.folders === undefined) return 'the folders of this ComfyUI are not given';
  return undefined;
}

/** The names in the list of `CheckpointLoaderSimple`. */
export function checkpointsOf(objectInfo: LiveComfy['objectInfo']): readonly string[] {
  const list = objectInfo.CheckpointLoaderSimple?.input.required?.ckpt_name?.[0];
  return Array.isArray(list) ? (list as string[]) : [];
}

async function startEmbedded(): Promise<Target> {
  const comfy = await startComfySimulator({
    nodes: SLOW_NODES,
    models: SIMULATED_MODELS,
    version: '0.33.0',
  });
  afterAll(async () => comfy[Symbol.asyncDispose]());
  return { url: comfy.url, folders: comfy.folders };
}

/** On a real ComfyUI a blur takes its time. */
const SLOW_NODES = new Map(
  [...NODES]
    .filter(([name]) => name === 'ImageBlur')
    .map(([name, node]): [string, NodeDefinition] => [
      name,
      {
        ...node,
        async execute(values, context) {
          await context.work(30 * (values.image as ImageBatch).frames.length);
          return node.execute(values, context);
        },
      },
    ]),
);

/** The worker removes files of jobs, not the folders they were in. */
async function removeFolders(folders: Folders | undefined, name: string): Promise<void> {
  for (const folder of folders ? [folders.input, folders.output] : [])
    await rm(join(folder, name), { recursive: true, force: true });
}

const isFolder = (path: string) =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

async function startLiveRig(
  url: string,
  environment: Readonly<Record<string, string>>,
): Promise<LiveRig> {
  const parts = new AsyncDisposableStack();
  const relay = parts.use(await startComfyRelay(url));
  parts.defer(() => forget(url, relay.prompts));
  const rig = parts.use(
    await startWorkerRig(relay.url, {
      environment: { CLEANUP: 'auto', ...environment },
      platform: { waitMs: 600_000 },
    }),
  );
  const find = async (path: string) => (await fetch(`${url}${path}`)).json();
  return {
    ...rig,
    relay,
    ended: (at) =>
      poll(async () => {
        const promptId = relay.prompts[at];
        if (promptId === undefined) return undefined;
        const history = (await find(`/history/${promptId}`)) as Record<string, HistoryEntry>;
        return history[promptId];
      }),
    until: (state, at) =>
      poll(async () => {
        const promptId = relay.prompts[at];
        const queue = (await find('/queue')) as Record<string, readonly [number, string][]>;
        const found = (queue[`queue_${state}`] ?? []).some(([, id]) => id === promptId);
        return found ? promptId : undefined;
      }),
    interrupt: async (promptId) => {
      const headers = { 'Content-Type': 'application/json' };
      const body = JSON.stringify({ prompt_id: promptId });
      await fetch(`${url}/interrupt`, { method: 'POST', headers, body });
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** Removes prompts of this test from the history, where other clients see them. */
async function forget(url: string, prompts: readonly string[]): Promise<void> {
  const body = JSON.stringify({ delete: prompts });
  await fetch(`${url}/history`, { method: 'POST', body });
}

async function poll<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(10);
  }
}

/** Milliseconds that one blur of one image takes. */
async function measureBlur(url: string): Promise<number> {
  await using rig = await startLiveRig(url, {});
  await rig.run({ workflow: blurs({ count: 5, batch: 1 }) });
  const { status } = await rig.ended(0);
  const times = status.messages.map(([, { timestamp }]) => Number(timestamp));
  return Math.max(1, (Math.max(...times) - Math.min(...times)) / 5);
}

/** At most 100 nodes; a fast server gets more images instead. */
function chainOfBlurs(ms: number, blurMs: number): Workflow {
  const batch = Math.min(32, Math.ceil(ms / 100 / blurMs));
  const count = Math.min(100, Math.max(4, Math.ceil(ms / blurMs / batch)));
  return blurs({ count, batch });
}

let lastColour = Date.now() % 0x1000000;

/** A colour that no other test has used, so that ComfyUI has nothing of it in its cache. */
export function newColour(): number {
  lastColour = (lastColour + 1) % 0x1000000;
  return lastColour;
}

function blurs({ count, batch }: { readonly count: number; readonly batch: number }): Workflow {
  const color = newColour();
  const nodes = Array.from({ length: count }, (_, at) => {
    const image = [at === 0 ? '1' : `blur${at - 1}`, 0];
    const inputs = { image, blur_radius: 31, sigma: 10 };
    return [
      `blur${at}`,
      { class_type: 'ImageBlur', inputs, _meta: { title: `Blur ${at}` } },
    ] as const;
  });
  return {
    '1': {
      class_type: 'EmptyImage',
      inputs: { width: 128, height: 128, batch_size: batch, color },
    },
    ...Object.fromEntries(nodes),
    first: {
      class_type: 'ImageFromBatch',
      inputs: { image: [`blur${count - 1}`, 0], batch_index: 0, length: 1 },
    },
    last: { class_type: 'SaveImage', inputs: { images: ['first', 0], filename_prefix: 'slow' } },
  };
}
