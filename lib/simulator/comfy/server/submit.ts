import { randomUUID } from 'node:crypto';
import { json, type Answer } from './answers.ts';
import { epochMs } from '../event-log.ts';
import type { ComfyProcess } from '../process.ts';
import { readJson, type PyFloat, type PyDict, type PyValue } from '../python/python-json.ts';
import { pyBool, pyFloat, PythonError, pyStr } from '../python/python-text.ts';
import { withoutSecrets } from '../prompt/history.ts';
import type { Verdict } from '../validation/inspection.ts';
import { validatePrompt } from '../validation/validate.ts';

/**
 * `POST /prompt`.
 * @throws where ComfyUI answers 500: the body is not JSON, the graph is not a dict, or `extra_data` is null.
 */
export async function submitPrompt(body: Buffer, comfy: ComfyProcess): Promise<Answer> {
  const request = readJson(body.toString());
  if (!isContainer(request)) throw new PythonError('TypeError', 'The request is no dict');
  const fields = request instanceof Map ? request : new Map<string, PyValue>();
  const number = takeNumber(fields, comfy);
  const graph = fields.get('prompt');
  if (graph === undefined) return json(NO_PROMPT, 400);
  const promptId = fields.has('prompt_id') ? pyStr(fields.get('prompt_id') ?? null) : randomUUID();
  const targets = fields.get('partial_execution_targets');
  const verdict = await validatePrompt(graph, comfy.catalogue, targets);
  const extraData = extraDataOf(fields, verdict);
  if (verdict.error) {
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

const NO_PROMPT = {
  error: {
    type: 'no_prompt',
    message: 'No prompt provided',
    details: 'No prompt provided',
    extra_info: {},
  },
  node_errors: {},
};
