import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { PROBE_NODES } from './testing/probe-nodes.ts';
import { submit } from './testing/probe-client.ts';
import { Replay } from './testing/replay.ts';
import type { ComfyVersion } from './profile.ts';
import { startComfySimulator } from './simulator.ts';
import {
  readTranscript,
  toComparable,
  type CompareOptions,
  type HttpLine,
  type TranscriptLine,
} from './testing/transcript.ts';

/** Scenarios of one server, in the order of the recording. */
const ON_ONE_SERVER: Readonly<Record<string, CompareOptions>> = {
  success: {},
  success_own_prompt_id_no_features: {},
  fully_cached: {},
  no_client_id: {},
  node_raises: {},
  one_output_then_raise: {},
  interrupted: { collapseSteps: true },
  queue_delete_pending: { apart: ['status'] },
  disconnect_during_run_then_reconnect: { collapseSteps: true },
  disconnect_until_after_the_end: {},
  two_clients: {},
  preview_image_temp_and_text_and_video: {},
  batch_and_subfolder: {},
  validation_errors: {},
  partly_invalid: {},
  uploads: {},
  misc_http: {},
};

/** Scenarios of a second server, with a real sampler. */
const WITH_A_SAMPLER: Readonly<Record<string, CompareOptions>> = {
  sampler_cold_then_warm: {},
  sampler_interrupted: { collapseSteps: true, apart: ['feature_flags'] },
  job_cancel: { collapseSteps: true, apart: ['status'] },
  odd_ids_and_targets: {},
};

interface Played {
  readonly version: ComfyVersion;
  readonly scenario: string;
  readonly options: CompareOptions;
  readonly recorded: readonly TranscriptLine[];
  readonly seen: readonly TranscriptLine[];
}

const SERVERS = [
  ['0.8.0', ON_ONE_SERVER],
  ['0.33.0', ON_ONE_SERVER],
  ['0.33.0', WITH_A_SAMPLER],
] as const;

const CASES = SERVERS.flatMap(([version, scenarios]) =>
  Object.keys(scenarios).map((scenario) => [version, scenario] as const),
);

const played: Played[] = [];

const find = (version: ComfyVersion, scenario: string) =>
  played.find((one) => one.version === version && one.scenario === scenario)!;

beforeAll(async () => {
  for (const [version, scenarios] of SERVERS) await playAll(version, scenarios);
});

async function playAll(
  version: ComfyVersion,
  scenarios: Readonly<Record<string, CompareOptions>>,
): Promise<void> {
  const recordings = new Map<string, TranscriptLine[]>();
  for (const name of Object.keys(scenarios)) {
    recordings.set(name, await readTranscript(version, name));
  }
  const lines = [...recordings.values()].flat();
  const orders = recordedOrders(lines);
  await using comfy = await startComfySimulator({
    version,
    nodes: PROBE_NODES,
    models: { checkpoints: version === '0.33.0' ? recordedModels(lines) : [] },
    blueprints: recordedBlueprints(lines),
    orderOutputs: (ids) => orders.get([...ids].sort().join()) ?? ids,
  });
  if (scenarios === WITH_A_SAMPLER)
    await comfy.waitFor({ type: 'history', promptId: await submit(comfy, EARLIER) });
  const replay = new Replay(comfy);
  for (const [scenario, recorded] of recordings) {
    const seen = await replay.play(recorded, scenario === 'uploads' ? uploadForm : nothing);
    played.push({ version, scenario, options: scenarios[scenario]!, recorded, seen });
  }
  replay.close();
}

afterAll(() => void played.splice(0));

test.each(CASES)('the simulator answers as the recorded ComfyUI %s: %s', (version, scenario) => {
  const { options, recorded, seen } = find(version, scenario);
  expect(toComparable(seen, options)).toEqual(toComparable(recorded, options));
});

test.each<[what: string, scenario: string, mutate: (lines: TranscriptLine[]) => TranscriptLine[]]>([
  ['another status', 'success', (lines) => edit(lines, '"status":200', '"status":201')],
  ['another header', 'success', (lines) => edit(lines, 'image/png', 'image/webp')],
  ['another body', 'success', (lines) => edit(lines, 'execution_success', 'execution_error')],
  ['another number', 'success', (lines) => edit(lines, '"number":0', '"number":1')],
  ['another file name', 'success', (lines) => edit(lines, 'rec_00001_', 'rec_00002_')],
  ['another complaint', 'validation_errors', (lines) => edit(lines, 'smaller than', 'less than')],
  ['a message missing', 'success', (lines) => lines.toSpliced(10, 1)],
  ['a message twice', 'success', (lines) => lines.toSpliced(10, 0, lines[10]!)],
  ['two messages swapped', 'success', (lines) => lines.toSpliced(11, 2, lines[12]!, lines[11]!)],
  ['previews of the other kind', 'success', (lines) => edit(lines, '"event":4', '"event":1')],
  ['no end', 'interrupted', (lines) => lines.filter((line) => !isEnd(line))],
  [
    'a node by another name',
    'interrupted',
    (lines) => edit(lines, '"node_type":"ProbeSampler', '"node_type":"KSampler'),
  ],
])('the comparison notices %s', (_, scenario, mutate) => {
  const { options, recorded, seen } = find('0.33.0', scenario);
  const mutated = mutate([...recorded]);
  expect(JSON.stringify(mutated)).not.toEqual(JSON.stringify(recorded));
  expect(toComparable(seen, options)).not.toEqual(toComparable(mutated, options));
});

function edit(lines: TranscriptLine[], from: string, to: string): TranscriptLine[] {
  return JSON.parse(JSON.stringify(lines).replace(from, to)) as TranscriptLine[];
}

function isEnd(line: TranscriptLine): boolean {
  return JSON.stringify(line).includes('"node":null');
}

/** ComfyUI starts outputs in hash order. Takes the recorded order from the lists in `/history`. */
function recordedOrders(lines: readonly TranscriptLine[]): Map<string, readonly string[]> {
  const orders = JSON.stringify(lines).matchAll(/"create_time":\d+\},(\["[^\]]+\])\]/g);
  return new Map(
    [...orders].map(([, list]) => {
      const ids = JSON.parse(list!) as string[];
      return [[...ids].sort().join(), ids];
    }),
  );
}

/** A prompt that ran on the second server before the recording: it took number 0 and the first file name. */
const EARLIER = {
  1: { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
  2: { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'sd' } },
};

/** Checkpoints of the recorded server: those its prompts load successfully. */
function recordedModels(lines: readonly TranscriptLine[]): string[] {
  const names = JSON.stringify(lines).matchAll(/"ckpt_name":"(random[^"]+)"/g);
  return [...new Set([...names].map(([, name]) => String(name)))];
}

/** Blueprints of the recorded server, without their content. */
function recordedBlueprints(lines: readonly TranscriptLine[]): Map<string, string> {
  const answer = lines.find((line) => line.kind === 'http' && line.path === '/global_subgraphs');
  const entries = Object.values((answer as HttpLine | undefined)?.response ?? {});
  return new Map(entries.map(({ name }: { name: string }) => [name, '{}']));
}

const nothing = () => Promise.resolve(undefined);

/** The multipart bodies of the scenario `uploads`, reconstructed from the answers. */
async function uploadForm(exchange: number): Promise<FormData | undefined> {
  const [red, blue] = [await png('red'), await png('blue')];
  const original = JSON.stringify({ filename: 'in.png', type: 'input' });
  const uploads: Parameters<typeof form>[] = [
    [red, 'in.png'],
    [red, 'in.png'],
    [blue, 'in.png'],
    [blue, 'in.png', { overwrite: 'true' }],
    [red, 'in.png', { subfolder: 'a/b' }],
    [red, 'in.png', { subfolder: '../z' }],
    [red, '../evil.png'],
    [red, 'in.png', { type: 'temp' }],
    [red, 'in.png', { type: 'output' }],
    [red, 'in.png', { type: 'bogus' }],
    [undefined, '', { type: 'input' }],
    [Buffer.from('not an image'), 'note.txt'],
    [red, 'mask.png', { subfolder: 'mask', original_ref: original }],
  ];
  const upload = uploads[exchange];
  return upload && form(...upload);
}

function form(
  bytes: Buffer | undefined,
  name: string,
  fields: Record<string, string> = {},
): FormData {
  const data = new FormData();
  if (bytes) data.set('image', new Blob([new Uint8Array(bytes)]), name);
  for (const [key, value] of Object.entries(fields)) data.set(key, value);
  return data;
}

function png(background: string): Promise<Buffer> {
  return sharp({ create: { width: 2, height: 2, channels: 4, background } })
    .png()
    .toBuffer();
}
