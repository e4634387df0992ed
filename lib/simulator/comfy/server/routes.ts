import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { empty, json, text, type Answer, type Exchange } from './answers.ts';
import * as editor from './editor-files.ts';
import * as facts from './facts.ts';
import * as jobs from './jobs.ts';
import * as queue from './queue-routes.ts';
import { submitPrompt } from './submit.ts';
import { uploadImage, uploadMask } from './uploads.ts';
import * as user from './user-data.ts';
import { pyBool } from '../python/python-text.ts';
import { NODE_REPLACEMENTS } from '../validation/node-replacements.ts';
import type { Folders } from '../nodes/node.ts';
import type { Profile } from '../profile.ts';
import { viewFile } from './view.ts';

type Handle = (exchange: Exchange) => Answer | Promise<Answer>;

interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** `:id` is one segment. */
  readonly path: string;
  readonly handle: Handle;
  /** Exists only under `/api` (`api`), or only without it (`bare`). */
  readonly only?: 'api' | 'bare';
  /** Exists only in versions with this behaviour. */
  readonly since?: 'cancelsJobs' | 'replacesNodes' | 'guardsFiles';
}

/** Nearly every path also exists under `/api`. HEAD works wherever GET does. */
const ROUTES: readonly Route[] = [
  { method: 'GET', path: '/', handle: editor.rootPage },
  { method: 'GET', path: '/prompt', handle: queue.execInfo },
  { method: 'POST', path: '/prompt', handle: submitPrompt },
  { method: 'GET', path: '/queue', handle: queue.listQueue },
  { method: 'POST', path: '/queue', handle: queue.changeQueue },
  { method: 'POST', path: '/interrupt', handle: queue.interrupt },
  { method: 'POST', path: '/free', handle: queue.free },
  { method: 'GET', path: '/history', handle: queue.listHistory },
  { method: 'POST', path: '/history', handle: queue.changeHistory },
  { method: 'GET', path: '/history/:id', handle: queue.findHistory },
  { method: 'GET', path: '/jobs', only: 'api', handle: jobs.listJobs },
  { method: 'GET', path: '/jobs/:id', only: 'api', handle: jobs.findJob },
  {
    method: 'POST',
    path: '/jobs/cancel',
    only: 'api',
    since: 'cancelsJobs',
    handle: jobs.cancelMany,
  },
  {
    method: 'POST',
    path: '/jobs/:id/cancel',
    only: 'api',
    since: 'cancelsJobs',
    handle: jobs.cancelOne,
  },
  { method: 'POST', path: '/upload/image', handle: uploadImage },
  { method: 'POST', path: '/upload/mask', handle: uploadMask },
  { method: 'GET', path: '/view', handle: viewFile },
  { method: 'GET', path: '/view_metadata/:id', handle: facts.viewMetadata },
  { method: 'GET', path: '/object_info', handle: facts.objectInfo },
  { method: 'GET', path: '/object_info/:id', handle: facts.objectInfo },
  { method: 'GET', path: '/system_stats', handle: facts.systemStats },
  { method: 'GET', path: '/features', handle: ({ comfy }) => json(comfy.features) },
  { method: 'GET', path: '/models', handle: facts.listModelFolders },
  { method: 'GET', path: '/models/:id', handle: facts.listModels },
  { method: 'GET', path: '/experiment/models', handle: facts.describeModelFolders },
  { method: 'GET', path: '/experiment/models/:id', handle: facts.describeModels },
  { method: 'GET', path: '/embeddings', handle: facts.listEmbeddings },
  { method: 'GET', path: '/extensions', handle: editor.listExtensions },
  { method: 'GET', path: '/global_subgraphs', handle: editor.listBlueprints },
  { method: 'GET', path: '/global_subgraphs/:id', handle: editor.findBlueprint },
  {
    method: 'GET',
    path: '/node_replacements',
    since: 'replacesNodes',
    handle: () => json(NODE_REPLACEMENTS),
  },
  { method: 'GET', path: '/workflow_templates', handle: () => json({}) },
  { method: 'GET', path: '/i18n', handle: () => json({}) },
  { method: 'GET', path: '/users', handle: user.listUsers },
  { method: 'POST', path: '/users', handle: user.addUser },
  { method: 'GET', path: '/settings', handle: user.listSettings },
  { method: 'POST', path: '/settings', handle: user.changeSettings },
  { method: 'GET', path: '/settings/:id', handle: user.findSetting },
  { method: 'POST', path: '/settings/:id', handle: user.changeSetting },
  { method: 'GET', path: '/userdata', handle: user.listUserFiles },
  { method: 'GET', path: '/v2/userdata', handle: user.listUserTree },
  { method: 'GET', path: '/userdata/:id', handle: user.readUserFile },
  { method: 'POST', path: '/userdata/:id', handle: user.writeUserFile },
  { method: 'DELETE', path: '/userdata/:id', handle: user.deleteUserFile },
  { method: 'POST', path: '/userdata/:id/move/:id', handle: user.moveUserFile },
  { method: 'GET', path: '/internal/logs', only: 'bare', handle: logText },
  { method: 'GET', path: '/internal/logs/raw', only: 'bare', handle: rawLogs },
  { method: 'PATCH', path: '/internal/logs/subscribe', only: 'bare', handle: subscribeToLogs },
  { method: 'GET', path: '/internal/folder_paths', only: 'bare', handle: facts.folderPaths },
  { method: 'GET', path: '/internal/files/:id', only: 'bare', handle: listFiles },
  {
    method: 'GET',
    path: '/assets',
    only: 'api',
    since: 'guardsFiles',
    handle: () => json(NO_ASSETS, 503),
  },
  { method: 'GET', path: '/ws', handle: () => text(400, NO_UPGRADE) },
];

const NO_UPGRADE = 'No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".';

const NO_ASSETS = {
  error: {
    code: 'SERVICE_DISABLED',
    message:
      'Assets system is disabled. Start the server with --enable-assets to use this feature.',
    details: {},
  },
};

const COMPILED = ROUTES.map((route) => ({
  route,
  pattern: new RegExp(`^${route.path.replaceAll(':id', '([^/]+)')}$`),
}));

/** The handler for a method and path, and the values of its `:id` segments. Undefined when there is none. */
export function findRoute(
  method: string,
  path: string,
  profile: Profile,
): [handle: Handle, ids: readonly string[]] | undefined {
  const routeMethod = method === 'HEAD' ? 'GET' : method;
  const inApi = path.startsWith('/api/');
  const bare = inApi ? path.slice('/api'.length) : path;
  for (const { route, pattern } of COMPILED) {
    if (route.method !== routeMethod || (route.since && !profile[route.since])) continue;
    if (route.only && (route.only === 'api') !== inApi) continue;
    const found = pattern.exec(bare);
    if (found) return [route.handle, found.slice(1).map(decodeURIComponent)];
  }
  return undefined;
}

/** ComfyUI serves the editor's files under `/`, so an unknown path gives 405 for other methods than GET and HEAD. */
export async function noRoute(
  method: string,
  path: string,
  { comfy, headers }: Pick<Exchange, 'comfy' | 'headers'>,
): Promise<Answer> {
  if (method === 'OPTIONS') return empty(200);
  const isInternal = path.startsWith('/internal/');
  const known = COMPILED.filter(
    ({ route, pattern }) =>
      pattern.test(path.replace(/^\/api(?=\/)/, '')) &&
      (route.only === undefined || (route.only === 'api') === path.startsWith('/api/')),
  );
  const isFile = !isInternal && (method === 'GET' || method === 'HEAD');
  if (isFile) {
    const answer = await editor.editorFile(comfy, path, headers);
    return method === 'HEAD' && answer.status === 404 ? empty(404) : answer;
  }
  if (isInternal && known.length === 0) return text(404, '404: Not Found');
  const files = isInternal ? [] : ['GET', 'HEAD'];
  const methods = new Set([...files, ...known.map(({ route }) => route.method)]);
  return text(405, '405: Method Not Allowed', { allow: [...methods].sort().join() });
}

function logText({ comfy }: Exchange): Answer {
  return json(comfy.serverLog.entries.map(({ t, m }) => `${t} - ${m}`).join(''));
}

function rawLogs({ comfy: { serverLog } }: Exchange): Answer {
  return json({ entries: serverLog.entries, size: serverLog.size() });
}

/** @throws where ComfyUI answers 500: a member is missing. */
async function subscribeToLogs({ comfy, body }: Exchange): Promise<Answer> {
  const request = await queue.readDict(body);
  const [clientId, enabled] = [request.get('clientId'), request.get('enabled')];
  if (clientId === undefined || enabled === undefined) throw new TypeError('A member is missing');
  if (typeof clientId === 'object' && clientId !== null) throw new TypeError('No client id');
  if (typeof clientId === 'string') comfy.serverLog.subscribe(clientId, pyBool(enabled));
  return empty();
}

/** Files directly in a folder, newest first. */
async function listFiles({ comfy, id }: Exchange): Promise<Answer> {
  const { folders } = comfy.catalogue.host;
  if (!Object.hasOwn(folders, id)) return json({ error: 'Invalid directory type' }, 400);
  const folder = folders[id as keyof Folders];
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
  const dated = files.map(async ({ name }) => {
    const { mtimeMs } = await stat(join(folder, name));
    return { name, mtimeMs };
  });
  const sorted = (await Promise.all(dated)).sort((a, b) => b.mtimeMs - a.mtimeMs);
  return json(sorted.map(({ name }) => `${name} [${id}]`));
}
