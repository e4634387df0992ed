import { dirname, join } from 'node:path';
import { freemem, totalmem } from 'node:os';
import { empty, internalError, json, text, type Answer, type Exchange } from './answers.ts';
import { promptTuple, type HistoryEntry } from '../prompt/history.ts';
import { findJob, listJobs } from './jobs.ts';
import type { ComfyProcess } from '../process.ts';
import { readJson, type PyDict, type PyValue } from '../python/python-json.ts';
import { pyBool, pyInt } from '../python/python-text.ts';
import { submitPrompt } from './submit.ts';
import { uploadImage, uploadMask } from './uploads.ts';
import { describeClasses } from '../nodes/node.ts';
import { viewFile } from './view.ts';

type Handle = (exchange: Exchange) => Answer | Promise<Answer>;

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Exists only under `/api`. */
  readonly apiOnly?: true;
  /** Does not exist under `/api`. */
  readonly bareOnly?: true;
  readonly handle: Handle;
}

/** Nearly every path also exists under `/api`. HEAD works wherever GET does. */
const ROUTES: readonly Route[] = [
  { method: 'GET', path: '/', handle: () => page() },
  { method: 'GET', path: '/prompt', handle: ({ comfy }) => json(execInfo(comfy)) },
  {
    method: 'POST',
    path: '/prompt',
    handle: async ({ comfy, body }) => submitPrompt(await body(), comfy),
  },
  { method: 'GET', path: '/queue', handle: ({ comfy }) => json(listQueue(comfy)) },
  { method: 'POST', path: '/queue', handle: changeQueue },
  { method: 'POST', path: '/interrupt', handle: interrupt },
  { method: 'POST', path: '/free', handle: free },
  { method: 'GET', path: '/history', handle: listHistory },
  { method: 'POST', path: '/history', handle: changeHistory },
  { method: 'GET', path: '/history/:id', handle: ({ comfy, id }) => json(findHistory(comfy, id)) },
  { method: 'GET', path: '/jobs', apiOnly: true, handle: listJobs },
  { method: 'GET', path: '/jobs/:id', apiOnly: true, handle: findJob },
  { method: 'POST', path: '/upload/image', handle: uploadImage },
  { method: 'POST', path: '/upload/mask', handle: uploadMask },
  { method: 'GET', path: '/view', handle: viewFile },
  { method: 'GET', path: '/object_info', handle: objectInfo },
  { method: 'GET', path: '/object_info/:id', handle: objectInfo },
  { method: 'GET', path: '/system_stats', handle: () => json(systemStats()) },
  { method: 'GET', path: '/features', handle: ({ comfy }) => json(comfy.features) },
  { method: 'GET', path: '/models', handle: () => json(MODEL_FOLDERS) },
  { method: 'GET', path: '/models/:id', handle: listModels },
  { method: 'GET', path: '/embeddings', handle: listEmbeddings },
  { method: 'GET', path: '/extensions', handle: () => json([]) },
  { method: 'GET', path: '/internal/folder_paths', bareOnly: true, handle: folderPaths },
  { method: 'GET', path: '/ws', handle: () => text(400, 'No WebSocket UPGRADE hdr: None') },
];

interface Compiled {
  readonly route: Route;
  readonly pattern: RegExp;
}

const COMPILED: readonly Compiled[] = ROUTES.map((route) => ({
  route,
  pattern: new RegExp(`^${route.path.replace(':id', '([^/]+)')}$`),
}));

/** The handler for a method and path, and the value of `:id`. Undefined when there is none. */
export function findRoute(method: string, path: string): [handle: Handle, id: string] | undefined {
  const routeMethod = method === 'HEAD' ? 'GET' : method;
  const inApi = path.startsWith('/api/');
  const bare = inApi ? path.slice('/api'.length) : path;
  for (const { route, pattern } of COMPILED) {
    if (route.method !== routeMethod || (route.apiOnly && !inApi)) continue;
    if (route.bareOnly && inApi) continue;
    const found = pattern.exec(bare);
    if (found) return [route.handle, decodeURIComponent(found[1] ?? '')];
  }
  return undefined;
}

/** ComfyUI serves static files under `/`, so an unknown path gives 405 for other methods than GET and HEAD, not 404. */
export function noRoute(method: string): Answer {
  if (method === 'GET' || method === 'HEAD') return empty(404);
  if (method === 'OPTIONS') return empty(200);
  return text(405, '405: Method Not Allowed', { allow: 'GET,HEAD' });
}

function page(): Answer {
  const body = Buffer.from(
    '<!doctype html><title>Simulated ComfyUI</title><p>A simulated ComfyUI.\n',
  );
  return { status: 200, headers: { 'content-type': 'text/html' }, body };
}

const execInfo = ({ queue }: ComfyProcess) => ({ exec_info: { queue_remaining: queue.remaining } });

const listQueue = ({ queue }: ComfyProcess) => ({
  queue_running: queue.running.map(promptTuple),
  queue_pending: queue.pending.map(promptTuple),
});

async function changeQueue({ comfy, body }: Exchange): Promise<Answer> {
  const request = await readDict(body);
  if (pyBool(request.get('clear') ?? null)) comfy.queue.clear();
  for (const id of idsOf(request.get('delete'))) comfy.queue.delete(id);
  return empty();
}

/** Python iterates over a string character by character, which matches no id. */
function idsOf(value: PyValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((id) => typeof id === 'string') : [];
}

async function interrupt({ comfy, body }: Exchange): Promise<Answer> {
  const request = maybeJson(await body()) ?? new Map<string, PyValue>();
  if (!(request instanceof Map)) return internalError();
  const promptId = request.get('prompt_id') ?? null;
  const isMeant = !pyBool(promptId) || comfy.queue.running.some((one) => one.promptId === promptId);
  if (isMeant) comfy.executor.interrupt();
  return empty();
}

function maybeJson(body: Buffer): PyValue | undefined {
  try {
    return readJson(body.toString());
  } catch {
    return undefined;
  }
}

/** There are no models to unload; `free_memory` clears the result cache. */
async function free({ comfy, body }: Exchange): Promise<Answer> {
  const request = await readDict(body);
  if (pyBool(request.get('free_memory') ?? null)) comfy.queue.freeMemory();
  return empty();
}

function listHistory({ comfy, query }: Exchange): Answer {
  const maxItems = maybeInt(query.get('max_items'));
  const entries = comfy.history.list(maxItems, maybeInt(query.get('offset')));
  return json(byPromptId(entries));
}

function findHistory({ history }: ComfyProcess, promptId: string) {
  const entry = history.get(promptId);
  return byPromptId(entry ? [entry] : []);
}

const byPromptId = (entries: readonly HistoryEntry[]) =>
  new Map(entries.map(({ promptId, json: entry }) => [promptId, entry]));

const maybeInt = (value: string | null) => (value === null ? undefined : Number(pyInt(value)));

async function changeHistory({ comfy, body }: Exchange): Promise<Answer> {
  const request = await readDict(body);
  if (pyBool(request.get('clear') ?? null)) comfy.history.clear();
  for (const id of idsOf(request.get('delete'))) comfy.history.delete(id);
  return empty();
}

async function readDict(body: Exchange['body']): Promise<PyDict> {
  const value = readJson((await body()).toString());
  if (value instanceof Map) return value;
  throw new TypeError('The request is no dict');
}

async function objectInfo({ comfy: { catalogue }, id }: Exchange): Promise<Answer> {
  const known = id === '' || catalogue.nodes.has(id);
  const names = id === '' ? [...catalogue.nodes.keys()] : [id];
  const described = await describeClasses(known ? names : [], catalogue);
  return json(new Map([...described].map(([name, { info }]) => [name, info])));
}

function listModels({ comfy, id }: Exchange): Answer {
  if (!MODEL_FOLDERS.includes(id)) return empty(404);
  return json(comfy.catalogue.host.models[id] ?? []);
}

function listEmbeddings({ comfy }: Exchange): Answer {
  const names = comfy.catalogue.host.models.embeddings ?? [];
  return json(names.map((name) => name.replace(/\.[^.]*$/, '')));
}

/** Folders of models and custom nodes, beside the input folder. ComfyUI does not list the input folder itself. */
function folderPaths({ comfy }: Exchange): Answer {
  const root = dirname(comfy.catalogue.host.folders.input);
  const place = (name: string) =>
    name === 'custom_nodes' ? join(root, name) : join(root, 'models', name);
  return json(new Map(MODEL_FOLDERS.map((name) => [name, [place(name)]])));
}

/** As ComfyUI 0.8.0 on a CPU answers, plus `simulated: true`. */
function systemStats() {
  const [total, free] = [totalmem(), freemem()];
  return {
    system: {
      os: 'linux',
      ram_total: total,
      ram_free: free,
      comfyui_version: '0.8.0',
      required_frontend_version: '1.35.9',
      installed_templates_version: null,
      required_templates_version: '0.7.67',
      python_version: 'none',
      pytorch_version: 'none',
      embedded_python: false,
      argv: ['main.py', '--cpu'],
      simulated: true,
    },
    devices: [
      {
        name: 'cpu',
        type: 'cpu',
        index: null,
        vram_total: total,
        vram_free: free,
        torch_vram_total: total,
        torch_vram_free: free,
      },
    ],
  };
}

/** The answer of `/models`, in ComfyUI's order. */
const MODEL_FOLDERS: readonly string[] = [
  'checkpoints',
  'configs',
  'loras',
  'vae',
  'text_encoders',
  'diffusion_models',
  'clip_vision',
  'style_models',
  'embeddings',
  'diffusers',
  'vae_approx',
  'controlnet',
  'gligen',
  'upscale_models',
  'latent_upscale_models',
  'custom_nodes',
  'hypernetworks',
  'photomaker',
  'classifiers',
  'model_patches',
  'audio_encoders',
];
