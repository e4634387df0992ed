import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { empty, json, text, type Answer, type Exchange } from './answers.ts';
import { answerFile, contentTypeOf, isDangerous } from './file-answer.ts';
import { isInside } from '../folders.ts';
import type { ComfyProcess } from '../process.ts';
import { readJson, writeJson, type PyDict } from '../python/python-json.ts';
import { readDict } from './queue-routes.ts';

/** The editor's settings and workflows of the single user `default` (`app/user_manager.py`, `app_settings.py`). */

export async function listUsers({ comfy }: Exchange): Promise<Answer> {
  return json({ storage: 'server', migrated: await exists(userFolder(comfy)) });
}

/** Returns an id, but keeps nothing: a server without `--multi-user` has one user. */
export async function addUser({ body }: Exchange): Promise<Answer> {
  const name = (await readDict(body)).get('username');
  if (typeof name !== 'string') throw new TypeError('The user has no name');
  if (name === 'default') return json({ error: 'Duplicate username.' }, 400);
  if (name.trim() === '') return json({ error: 'username not provided' }, 400);
  return json(`${name.trim().replace(/[^a-zA-Z0-9-_]+/g, '-')}_${randomUUID()}`);
}

export async function listSettings({ comfy }: Exchange): Promise<Answer> {
  return json(await readSettings(comfy));
}

export async function findSetting({ comfy, id }: Exchange): Promise<Answer> {
  return json((await readSettings(comfy)).get(id) ?? null);
}

export async function changeSettings({ comfy, body }: Exchange): Promise<Answer> {
  const changed = await readDict(body);
  await writeSettings(comfy, new Map([...(await readSettings(comfy)), ...changed]));
  return empty();
}

export async function changeSetting({ comfy, id, body }: Exchange): Promise<Answer> {
  const value = readJson((await body()).toString());
  await writeSettings(comfy, (await readSettings(comfy)).set(id, value));
  return empty();
}

async function readSettings(comfy: ComfyProcess): Promise<PyDict> {
  const file = await readFile(settingsFile(comfy), 'utf8').catch(() => '{}');
  try {
    const settings = readJson(file);
    return settings instanceof Map ? settings : new Map();
  } catch {
    return new Map();
  }
}

async function writeSettings(comfy: ComfyProcess, settings: PyDict): Promise<void> {
  const path = settingsFile(comfy);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, writeJson(settings));
}

const settingsFile = (comfy: ComfyProcess) => join(userFolder(comfy), 'comfy.settings.json');

const userFolder = ({ catalogue }: ComfyProcess) =>
  join(dirname(catalogue.host.folders.input), 'user', 'default');

/** `/userdata?dir=`: names of files in a folder, their details (`full_info`), or their parts (`split`). */
export async function listUserFiles({ comfy, query }: Exchange): Promise<Answer> {
  const folder = query.get('dir') ?? '';
  if (folder === '') return text(400, 'Directory not provided');
  const path = await userPath(comfy, folder);
  if (path === undefined) return text(403, 'Invalid directory');
  if (!(await exists(path))) return text(404, 'Directory not found');
  const isSet = (name: string) => query.get(name)?.toLowerCase() === 'true';
  const recursive = isSet('recurse');
  const entries = await readdir(path, { withFileTypes: true, recursive }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  if (isSet('full_info')) return json(await Promise.all(paths.map((file) => fileInfo(file, path))));
  const names = paths.map((file) => slashes(relative(path, file)));
  return json(isSet('split') ? names.map((name) => [name, ...name.split('/')]) : names);
}

/** `/v2/userdata?path=`: all folders and files below a folder, folders first. */
export async function listUserTree({ comfy, query }: Exchange): Promise<Answer> {
  const base = userFolder(comfy);
  const asked = query.get('path') ?? '';
  const path = asked === '' ? base : await userPath(comfy, asked, { makeParent: false });
  if (path === undefined) return text(400, 'Invalid path requested');
  const folder = await stat(path).catch(() => undefined);
  if (!folder) return path === base ? json([]) : text(404, 'Requested path not found');
  if (!folder.isDirectory()) return text(400, 'Requested path is not a directory');
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  const described = entries.map(async (entry) => {
    const full = join(entry.parentPath, entry.name);
    const common = { name: entry.name, path: slashes(relative(base, full)) };
    if (entry.isDirectory()) return { ...common, type: 'directory' };
    const { size, mtimeMs } = await stat(full);
    return { ...common, type: 'file', size, modified: mtimeMs / 1000 };
  });
  const order = (entry: { readonly type: string; readonly name: string }) =>
    `${entry.type === 'directory' ? 0 : 1}${entry.name.toLowerCase()}`;
  const list = await Promise.all(described);
  return json(list.sort((a, b) => (order(a) < order(b) ? -1 : 1)));
}

export async function readUserFile({ comfy, id, headers }: Exchange): Promise<Answer> {
  const path = await userPath(comfy, id);
  if (path === undefined) return empty(403);
  const found = await stat(path).catch(() => undefined);
  if (!found) return empty(404);
  if (!found.isFile()) return empty(403);
  const isStyle = path === join(userFolder(comfy), 'user.css');
  const guessed = contentTypeOf(path);
  const given = {
    'content-type': isStyle
      ? 'text/css'
      : isDangerous(guessed)
        ? 'application/octet-stream'
        : guessed,
    'x-content-type-options': 'nosniff',
    'content-disposition': isStyle ? 'inline' : 'attachment',
  };
  return answerFile(path, given, headers);
}

export async function writeUserFile({ comfy, id, query, body }: Exchange): Promise<Answer> {
  const path = await userPath(comfy, id);
  if (path === undefined) return empty(403);
  if (isKept(query) && (await exists(path))) return text(409, 'File already exists');
  const bytes = await body();
  const isWritten = await writeFile(path, bytes).then(
    () => true,
    () => false,
  );
  return isWritten ? describeWritten(path, comfy, query) : empty(400);
}

export async function deleteUserFile({ comfy, id }: Exchange): Promise<Answer> {
  const path = await userPath(comfy, id);
  if (path === undefined) return empty(403);
  if (!(await exists(path))) return empty(404);
  await rm(path);
  return empty(204);
}

export async function moveUserFile({ comfy, ids, query }: Exchange): Promise<Answer> {
  const [source, target] = [
    await userPath(comfy, ids[0] ?? ''),
    await userPath(comfy, ids[1] ?? ''),
  ];
  if (source === undefined || target === undefined) return empty(403);
  if (!(await exists(source))) return empty(404);
  if (isKept(query) && (await exists(target))) return text(409, 'File already exists');
  comfy.serverLog.add(`moving '${source}' -> '${target}'`);
  await rename(source, target).catch(async () => {
    await copyFile(source, target, constants.COPYFILE_FICLONE);
    await rm(source);
  });
  return describeWritten(target, comfy, query);
}

const isKept = (query: URLSearchParams) => query.get('overwrite') === 'false';

async function describeWritten(path: string, comfy: ComfyProcess, query: URLSearchParams) {
  const isFull = query.get('full_info')?.toLowerCase() === 'true';
  const folder = userFolder(comfy);
  return json(isFull ? await fileInfo(path, folder) : slashes(relative(folder, path)));
}

async function fileInfo(path: string, folder: string) {
  const { size, mtimeMs, ctimeMs } = await stat(path);
  const times = { modified: Math.floor(mtimeMs), created: Math.floor(ctimeMs) };
  return { path: slashes(relative(folder, path)), size, ...times };
}

/** The path of a user's file, with an existing parent folder. Undefined outside the user's folder. */
async function userPath(
  comfy: ComfyProcess,
  name: string,
  { makeParent = true } = {},
): Promise<string | undefined> {
  const root = userFolder(comfy);
  const path = resolve(root, name.includes('%') ? decodeURIComponent(name) : name);
  if (!isInside(root, path)) return undefined;
  if (makeParent) await mkdir(dirname(path), { recursive: true });
  return path;
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

const slashes = (path: string) => path.replaceAll(sep, '/');
