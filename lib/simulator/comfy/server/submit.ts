import { randomUUID } from 'node:crypto';
import { json, type Answer, type Exchange } from './answers.ts';
import { epochMs } from '../event-log.ts';
import type { ComfyProcess } from '../process.ts';
import { readJson, type PyFloat, type PyDict, type PyValue } from '../python/python-json.ts';
import { fromPlain, pyBool, pyFloat, pyRepr, PythonError, pyStr } from '../python/python-text.ts';
import { withoutSecrets } from '../prompt/history.ts';
import type { Verdict } from '../validation/inspection.ts';
import { replaceNodes } from '../validation/node-replacements.ts';
import { validatePrompt } from '../validation/validate.ts';

/**
 * `POST /prompt`.
 * @throws where ComfyUI answers 500: the body is not JSON, the graph is not a dict, or `extra_data` is null.
 */
export async function submitPrompt({ body, comfy, headers }: Exchange): Promise<Answer> {
  comfy.serverLog.add('got prompt');
  const request = readJson((await body()).toString());
  if (!isContainer(request)) throw new PythonError('TypeError', 'The request is no dict');
  const fields = request instanceof Map ? request : new Map<string, PyValue>();
  const number = takeNumber(fields, comfy);
  const graph = fields.get('prompt');
  if (graph === undefined) return json(NO_PROMPT, 400);
  const promptId = promptIdOf(fields, comfy);
  if (promptId === undefined) return json(INVALID_PROMPT_ID, 400);
  if (comfy.catalogue.profile.replacesNodes) replaceNodes(graph, comfy.catalogue);
  const targets = fields.get('partial_execution_targets');
  const verdict = await validatePrompt(graph, comfy.catalogue, targets);
  const extraData = extraDataOf(fields, verdict);
  const usageSource = headers['comfy-usage-source'];
  if (usageSource && !extraData.has('comfy_usage_source')) {
    extraData.set('comfy_usage_source', usageSource);
  }
  if (verdict.error) {
    const shown = pyRepr(fromPlain({ ...verdict.error }));
    comfy.serverLog.add(`invalid prompt: ${shown}`, 'WARNING');
    return json({ error: verdict.error, node_errors: verdict.nodeErrors }, 400);
  }
  extraData.set('create_time', Date.now());
  comfy.enqueue({
    ...{ number, promptId, extraData },
    graph: graph as PyDict,
    outputs: comfy.orderOutputs(verdict.goodOutputs),
    queuedAt: epochMs(),
  });
  return json({ prompt_id: promptId, number, node_errors: verdict.nodeErrors });
}

const isContainer = (value: PyValue) =>
  typeof value === 'string' || (typeof value === 'object' && value !== null);

/** The counter advances with every request without a `number`, including rejected ones. */
function takeNumber(fields: PyDict, comfy: ComfyProcess): number | PyFloat {
  const requested = fields.get('number');
  if (requested !== undefined) return pyFloat(requested);
  const number = comfy.nextNumber();
  // -0 equals 0: `front` has no effect on the first prompt of a process.
  return pyBool(fields.get('front') ?? null) && number !== 0 ? -number : number;
}

/** The caller's id, or a new one. Undefined for an id that ComfyUI refuses. */
function promptIdOf(fields: PyDict, { catalogue: { profile } }: ComfyProcess): string | undefined {
  const id = fields.get('prompt_id');
  if (!profile.promptIdsAreUuids) return id === undefined ? randomUUID() : pyStr(id);
  if (id === undefined || id === null) return randomUUID();
  return isJobId(id) ? id : undefined;
}

/** Whether a value is a UUID as ComfyUI writes it: lower case, with hyphens. */
export const isJobId = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);

function extraDataOf(fields: PyDict, verdict: Verdict): PyDict {
  const extraData =
    fields.get('extra_data') ?? (fields.has('extra_data') ? null : new Map<string, PyValue>());
  // ComfyUI fails on a bad extra_data only where it writes into it.
  const isWritten = fields.has('client_id') || !verdict.error;
  if (!(extraData instanceof Map)) {
    if (isWritten) throw new PythonError('TypeError', 'extra_data is no dict');
    return new Map();
  }
  const clientId = fields.get('client_id');
  const own = clientId === undefined ? [] : [['client_id', clientId] as const];
  return withoutSecrets(new Map([...extraData, ...own]));
}

const INVALID_PROMPT_ID = {
  error: {
    type: 'invalid_prompt_id',
    message: 'prompt_id must be a valid UUID',
    details:
      'prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one',
    extra_info: {},
  },
  node_errors: {},
};

const NO_PROMPT = {
  error: {
    type: 'no_prompt',
    message: 'No prompt provided',
    details: 'No prompt provided',
    extra_info: {},
  },
  node_errors: {},
};
