import { empty, internalError, json, type Answer, type Exchange } from './answers.ts';
import { promptTuple, type HistoryEntry } from '../prompt/history.ts';
import { readJson, type PyDict, type PyValue } from '../python/python-json.ts';
import { pyBool, pyInt } from '../python/python-text.ts';

/** `/prompt` (GET), `/queue`, `/history`, `/interrupt` and `/free`. */

export const execInfo = ({ comfy: { queue } }: Exchange): Answer =>
  json({ exec_info: { queue_remaining: queue.remaining } });

export const listQueue = ({ comfy: { queue } }: Exchange): Answer =>
  json({
    queue_running: queue.running.map(promptTuple),
    queue_pending: queue.pending.map(promptTuple),
  });

export async function changeQueue({ comfy, body }: Exchange): Promise<Answer> {
  const request = await readContainer(body);
  if (pyBool(request.get('clear') ?? null)) comfy.queue.clear();
  for (const id of idsOf(request.get('delete'))) comfy.queue.delete(id);
  return empty();
}

/** Python iterates over a string character by character, which matches no id. */
function idsOf(value: PyValue | undefined): string[] {
  if (value === undefined || typeof value === 'string' || value instanceof Map) return [];
  if (!Array.isArray(value)) throw new TypeError('The ids are no list');
  return value.filter((id) => typeof id === 'string');
}

export async function interrupt({ comfy, body }: Exchange): Promise<Answer> {
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
export async function free({ comfy, body }: Exchange): Promise<Answer> {
  const request = await readDict(body);
  if (pyBool(request.get('free_memory') ?? null)) comfy.queue.freeMemory();
  return empty();
}

export function listHistory({ comfy, query }: Exchange): Answer {
  const maxItems = maybeInt(query.get('max_items'));
  const entries = comfy.history.list(maxItems, maybeInt(query.get('offset')));
  return json(byPromptId(entries));
}

export function findHistory({ comfy: { history }, id }: Exchange): Answer {
  const entry = history.get(id);
  return json(byPromptId(entry ? [entry] : []));
}

const byPromptId = (entries: readonly HistoryEntry[]) =>
  new Map(entries.map(({ promptId, json: entry }) => [promptId, entry]));

const maybeInt = (value: string | null) => (value === null ? undefined : Number(pyInt(value)));

export async function changeHistory({ comfy, body }: Exchange): Promise<Answer> {
  const request = await readContainer(body);
  if (pyBool(request.get('clear') ?? null)) comfy.history.clear();
  for (const id of idsOf(request.get('delete'))) comfy.history.delete(id);
  return empty();
}

/** ComfyUI only asks whether names are in the body, which a list or a text can answer, too. */
async function readContainer(body: Exchange['body']): Promise<PyDict> {
  const value = readJson((await body()).toString());
  if (Array.isArray(value) && !value.includes('clear') && !value.includes('delete')) {
    return new Map();
  }
  if (value instanceof Map) return value;
  throw new TypeError('The request is no dict');
}

/** @throws where ComfyUI answers 500: the body is no JSON object. */
export async function readDict(body: Exchange['body']): Promise<PyDict> {
  const value = readJson((await body()).toString());
  if (value instanceof Map) return value;
  throw new TypeError('The request is no dict');
}
