import { json, type Answer, type Exchange } from './answers.ts';
import { normalizeOutputs, summarizeOutputs } from './job-outputs.ts';
import { isJobId } from './submit.ts';
import type { HistoryEntry } from '../prompt/history.ts';
import { numberOf, type QueuedPrompt } from '../prompt/queue.ts';
import { readJson, type RawJson, type PyDict, type PyValue } from '../python/python-json.ts';
import { pyInt, pyRepr } from '../python/python-text.ts';
import type { ComfyProcess } from '../process.ts';
import type { Profile } from '../profile.ts';

/** `/api/jobs` and below: pending, running and finished prompts in one format, and their cancellation. */

type Job = Map<string, unknown>;

const SORTS = ['created_at', 'execution_duration'];

export function findJob({ comfy, id }: Exchange): Answer {
  const entry = comfy.history.get(id);
  if (entry) return json(detailedJob(entry, comfy.profile));
  const waiting = queuedJobs(comfy).find((job) => job.get('id') === id);
  return waiting ? json(waiting) : json({ error: 'Job not found' }, 404);
}

export function listJobs({ comfy, query }: Exchange): Answer {
  const wrong = checkQuery(query, comfy.profile);
  if (wrong) return json({ error: wrong }, 400);
  const finished = comfy.history.list().map((entry) => finishedJob(entry, comfy.profile));
  const all = [...queuedJobs(comfy), ...finished];
  const jobs = sorted(
    all.filter((job) => isWanted(job, query)),
    query,
  );
  const offset = Math.max(0, Number(pyInt(query.get('offset') ?? 0)));
  const limit = query.has('limit') ? Number(pyInt(query.get('limit'))) : null;
  const end = limit === null ? jobs.length : offset + limit;
  const pagination = { offset, limit, total: jobs.length, has_more: end < jobs.length };
  return json({ jobs: jobs.slice(offset, end), pagination });
}

export function cancelOne({ comfy, id }: Exchange): Answer {
  return json({ cancelled: cancel(comfy, id) });
}

export async function cancelMany({ comfy, body }: Exchange): Promise<Answer> {
  let request: PyValue;
  try {
    request = readJson((await body()).toString());
  } catch {
    return json({ error: 'Request body must be valid JSON' }, 400);
  }
  const ids = request instanceof Map ? request.get('job_ids') : undefined;
  if (!Array.isArray(ids)) return json({ error: 'job_ids must be a list' }, 400);
  const invalid = ids.filter((id) => !isJobId(id));
  if (invalid.length > 0) {
    const shown = invalid.map((id) => (typeof id === 'string' ? id : pyRepr(id)));
    return json({ error: 'job_ids contains invalid id(s)', invalid_ids: shown }, 400);
  }
  const cancelled = ids.map((id) => cancel(comfy, id as string));
  return json({ cancelled: cancelled.includes(true) });
}

/** Interrupts a running prompt, or deletes a pending one. Returns false for any other id. */
function cancel({ queue, executor }: ComfyProcess, promptId: string): boolean {
  if (queue.running.some((prompt) => prompt.promptId === promptId)) {
    executor.interrupt();
    return true;
  }
  return queue.delete(promptId);
}

function checkQuery(query: URLSearchParams, profile: Profile): string | undefined {
  const known = profile.cancelsJobs ? [...STATUSES, 'cancelled'] : STATUSES;
  const unknown = statusesOf(query).filter((status) => !known.includes(status));
  if (unknown.length > 0) {
    return `Invalid status value(s): ${unknown.join(', ')}. Valid values: ${known.join(', ')}`;
  }
  if (!SORTS.includes((query.get('sort_by') ?? 'created_at').toLowerCase())) {
    return "sort_by must be 'created_at' or 'execution_duration'";
  }
  if (!['asc', 'desc'].includes((query.get('sort_order') ?? 'desc').toLowerCase())) {
    return "sort_order must be 'asc' or 'desc'";
  }
  const limit = maybeInt(query.get('limit') ?? '1');
  if (limit === undefined) return 'limit must be an integer';
  if (limit <= 0) return 'limit must be a positive integer';
  if (maybeInt(query.get('offset') ?? '0') === undefined) return 'offset must be an integer';
  return undefined;
}

const STATUSES = ['pending', 'in_progress', 'completed', 'failed'];

function maybeInt(text: string): number | bigint | undefined {
  try {
    return pyInt(text);
  } catch {
    return undefined;
  }
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
  const byDuration = query.get('sort_by')?.toLowerCase() === 'execution_duration';
  const key = byDuration ? durationOf : (job: Job) => Number(job.get('create_time') ?? 0);
  const sign = query.get('sort_order')?.toLowerCase() === 'asc' ? 1 : -1;
  return jobs.sort((a, b) => sign * (key(a) - key(b)));
}

function durationOf(job: Job): number {
  const [start, end] = [job.get('execution_start_time'), job.get('execution_end_time')];
  return start === undefined || end === undefined ? 0 : Number(end) - Number(start);
}

function queuedJobs({ queue, profile }: ComfyProcess): Job[] {
  return [
    ...queue.running.map((prompt) => queuedJob(prompt, 'in_progress', profile)),
    ...queue.pending.map((prompt) => queuedJob(prompt, 'pending', profile)),
  ];
}

function queuedJob(prompt: QueuedPrompt, status: string, { cancelsJobs }: Profile): Job {
  return compact([
    ['id', prompt.promptId],
    ['status', status],
    ['priority', numberOf(prompt)],
    ['create_time', prompt.extraData.get('create_time')],
    ['outputs_count', 0],
    ['previewable_outputs_count', cancelsJobs ? 0 : undefined],
    ['workflow_id', workflowIdOf(prompt.extraData)],
  ]);
}

function finishedJob(entry: HistoryEntry, profile: Profile): Job {
  const { tuple, outputs, messages, succeeded } = read(entry);
  const [number, id, , extraData] = tuple as [PyValue, string, PyDict, PyDict];
  const { count, previewable, preview } = summarizeOutputs(outputs, profile);
  const times = { start: timeOf(messages, STARTED), end: timeOf(messages, ENDED) };
  const isCancelled = profile.cancelsJobs && dataOf(messages, ['execution_interrupted']);
  return compact([
    ['id', id],
    ['status', succeeded ? 'completed' : isCancelled ? 'cancelled' : 'failed'],
    ['priority', number],
    ['create_time', extraData.get('create_time')],
    ['execution_start_time', times.start],
    ['execution_end_time', times.end],
    ['execution_error', dataOf(messages, ['execution_error'])],
    ['outputs_count', count],
    ['previewable_outputs_count', profile.cancelsJobs ? previewable : undefined],
    ['preview_output', preview],
    ['workflow_id', workflowIdOf(extraData)],
  ]);
}

function detailedJob(entry: HistoryEntry, profile: Profile): Job {
  const { tuple, outputs, status } = read(entry);
  const job = finishedJob(entry, profile);
  job.set('outputs', profile.cancelsJobs ? normalizeOutputs(outputs) : outputs);
  job.set('execution_status', status);
  job.set('workflow', { prompt: tuple[2], extra_data: tuple[3] });
  return job;
}

function read({ json: { text } }: { readonly json: RawJson }) {
  const entry = readJson(text) as PyDict;
  const status = entry.get('status') as PyDict;
  return {
    tuple: entry.get('prompt') as PyValue[],
    outputs: entry.get('outputs') as PyDict,
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

/** @throws TypeError when `extra_pnginfo` or its workflow is no dict; ComfyUI answers 500. */
function workflowIdOf(extraData: PyDict): PyValue | undefined {
  const pnginfo = dictOr(extraData.get('extra_pnginfo'));
  return dictOr(pnginfo.get('workflow')).get('id');
}

function dictOr(value: PyValue | undefined): PyDict {
  if (value === undefined) return new Map();
  if (value instanceof Map) return value;
  throw new TypeError('A member of extra_data is no dict');
}

/** A job without its null and undefined members. */
function compact(entries: readonly (readonly [string, unknown])[]): Job {
  return new Map(entries.filter(([, value]) => value !== undefined && value !== null));
}
