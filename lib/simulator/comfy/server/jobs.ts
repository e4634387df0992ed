import { json, type Answer, type Exchange } from './answers.ts';
import type { HistoryEntry } from '../prompt/history.ts';
import { numberOf, type QueuedPrompt } from '../prompt/queue.ts';
import { readJson, type RawJson, type PyDict, type PyValue } from '../python/python-json.ts';
import type { ComfyProcess } from '../process.ts';

/** `/api/jobs` and `/api/jobs/{id}`: pending, running and finished prompts in one format. */

type Job = Map<string, unknown>;

const STATUSES = ['pending', 'in_progress', 'completed', 'failed'];
const SORTS = ['created_at', 'execution_duration'];

export function findJob({ comfy, id }: Exchange): Answer {
  const waiting = queuedJobs(comfy).find((job) => job.get('id') === id);
  if (waiting) return json(waiting);
  const entry = comfy.history.get(id);
  return entry ? json(detailedJob(entry)) : json({ error: 'Job not found' }, 404);
}

export function listJobs({ comfy, query }: Exchange): Answer {
  const wrong = checkQuery(query);
  if (wrong) return json({ error: wrong }, 400);
  const all = [...queuedJobs(comfy), ...comfy.history.list().map(finishedJob)];
  const jobs = sorted(
    all.filter((job) => isWanted(job, query)),
    query,
  );
  const offset = Math.max(0, Number(query.get('offset') ?? 0));
  const limit = query.has('limit') ? Number(query.get('limit')) : null;
  const end = limit === null ? jobs.length : offset + limit;
  const pagination = { offset, limit, total: jobs.length, has_more: end < jobs.length };
  return json({ jobs: jobs.slice(offset, end), pagination });
}

function checkQuery(query: URLSearchParams): string | undefined {
  const unknown = statusesOf(query).filter((status) => !STATUSES.includes(status));
  if (unknown.length > 0) {
    return `Invalid status value(s): ${unknown.join(', ')}. Valid values: ${STATUSES.join(', ')}`;
  }
  if (!SORTS.includes(query.get('sort_by') ?? 'created_at')) {
    return `sort_by must be one of: ${SORTS.join(', ')}`;
  }
  if (!['asc', 'desc'].includes(query.get('sort_order') ?? 'desc')) {
    return "sort_order must be 'asc' or 'desc'";
  }
  if (!/^\d*[1-9]\d*$/.test(query.get('limit') ?? '1')) return 'limit must be a positive integer';
  if (!/^-?\d+$/.test(query.get('offset') ?? '0')) return 'offset must be an integer';
  return undefined;
}

function statusesOf(query: URLSearchParams): string[] {
  return (query.get('status') ?? '')
    .split(',')
    .map((status) => status.trim().toLowerCase())
    .filter((status) => status !== '');
}

function isWanted(job: Job, query: URLSearchParams): boolean {
  const statuses = statusesOf(query);
  const workflowId = query.get('workflow_id');
  if (statuses.length > 0 && !statuses.includes(String(job.get('status')))) return false;
  return !workflowId || job.get('workflow_id') === workflowId;
}

function sorted(jobs: Job[], query: URLSearchParams): Job[] {
  const byDuration = query.get('sort_by') === 'execution_duration';
  const key = byDuration ? durationOf : (job: Job) => Number(job.get('create_time') ?? 0);
  const sign = query.get('sort_order') === 'asc' ? 1 : -1;
  return jobs.sort((a, b) => sign * (key(a) - key(b)));
}

function durationOf(job: Job): number {
  const [start, end] = [job.get('execution_start_time'), job.get('execution_end_time')];
  return start === undefined || end === undefined ? 0 : Number(end) - Number(start);
}

function queuedJobs({ queue }: ComfyProcess): Job[] {
  return [
    ...queue.running.map((prompt) => queuedJob(prompt, 'in_progress')),
    ...queue.pending.map((prompt) => queuedJob(prompt, 'pending')),
  ];
}

function queuedJob(prompt: QueuedPrompt, status: string): Job {
  return compact([
    ['id', prompt.promptId],
    ['status', status],
    ['priority', numberOf(prompt)],
    ['create_time', prompt.extraData.get('create_time')],
    ['outputs_count', 0],
    ['workflow_id', workflowIdOf(prompt.extraData)],
  ]);
}

function finishedJob(entry: HistoryEntry): Job {
  const { tuple, outputs, messages, succeeded } = read(entry);
  const [number, id, , extraData] = tuple as [PyValue, string, PyDict, PyDict];
  const { count, preview } = summarize(outputs);
  const times = { start: timeOf(messages, STARTED), end: timeOf(messages, ENDED) };
  return compact([
    ['id', id],
    ['status', succeeded ? 'completed' : 'failed'],
    ['priority', number],
    ['create_time', extraData.get('create_time')],
    ['execution_start_time', times.start],
    ['execution_end_time', times.end],
    ['execution_error', succeeded ? undefined : dataOf(messages, ['execution_error'])],
    ['outputs_count', count],
    ['preview_output', preview],
    ['workflow_id', workflowIdOf(extraData)],
  ]);
}

function detailedJob(entry: HistoryEntry): Job {
  const { tuple, outputs, status } = read(entry);
  const job = finishedJob(entry);
  job.set('outputs', outputs);
  job.set('execution_status', status);
  job.set('workflow', { prompt: tuple[2], extra_data: tuple[3] });
  return job;
}

function read({ json: { text } }: { readonly json: RawJson }) {
  const entry = readJson(text) as PyDict;
  const status = entry.get('status') as PyDict;
  return {
    tuple: entry.get('prompt') as PyValue[],
    outputs: entry.get('outputs') as Map<string, PyDict>,
    status,
    succeeded: status.get('status_str') === 'success',
    messages: status.get('messages') as [string, PyDict][],
  };
}

const STARTED = ['execution_start'];
const ENDED = ['execution_success', 'execution_error', 'execution_interrupted'];

function dataOf(messages: readonly [string, PyDict][], events: readonly string[]) {
  return messages.find(([event]) => events.includes(event))?.[1];
}

function timeOf(messages: readonly [string, PyDict][], events: readonly string[]) {
  return dataOf(messages, events)?.get('timestamp');
}

/** The number of outputs, and the first one the editor can show. Saved files come before temporary ones. */
function summarize(outputs: ReadonlyMap<string, PyDict>) {
  const items = [...outputs].flatMap(([nodeId, output]) =>
    [...output].flatMap(([mediaType, list]) =>
      mediaType === 'animated' || !Array.isArray(list)
        ? []
        : list.map((item) => ({ nodeId, mediaType, item })),
    ),
  );
  const shown = items.flatMap(({ nodeId, mediaType, item }) =>
    item instanceof Map && isShowable(mediaType, item)
      ? [new Map<string, unknown>([...item, ['nodeId', nodeId], ['mediaType', mediaType]])]
      : [],
  );
  const saved = shown.find((item) => item.get('type') === 'output');
  return { count: items.length, preview: saved ?? shown[0] };
}

function isShowable(mediaType: string, item: PyDict): boolean {
  if (['images', 'video', 'audio'].includes(mediaType)) return true;
  const format = item.get('format');
  return typeof format === 'string' && /^(?:video|audio)\//.test(format);
}

function workflowIdOf(extraData: PyDict): PyValue | undefined {
  const pnginfo = extraData.get('extra_pnginfo');
  const workflow = pnginfo instanceof Map ? pnginfo.get('workflow') : undefined;
  return workflow instanceof Map ? workflow.get('id') : undefined;
}

/** A job without its null and undefined members. */
function compact(entries: readonly (readonly [string, unknown])[]): Job {
  return new Map(entries.filter(([, value]) => value !== undefined && value !== null));
}
