import type { FastifyInstance } from 'fastify';
import { isWorkerError, WorkerError } from '../../errors.ts';
import { withoutPaths } from '../../http/redact.ts';
import type { JsonText } from '../../json.ts';
import { goneSignal, jsonObject, jsonValue, sendJson } from './answers.ts';
import { bodyFile } from './body.ts';

/** The worker's workflows, as the API offers them. */
export interface WorkflowService {
  /** Lists the workflows that jobs may call by name. */
  list(): Promise<readonly object[]>;
  /** @throws WorkerError `workflow.unreadable`, `workflow.unconvertible` */
  convert(file: Buffer, signal: AbortSignal): Promise<ConvertedFile>;
}

export interface ConvertedFile {
  /** For people: `a body of /prompt`. */
  readonly what: string;
  /** The input of a job, with its workflow in API format. */
  readonly input: JsonText;
}

export const NO_WORKFLOWS: WorkflowService = {
  list: () => Promise.resolve([]),
  convert: () =>
    Promise.reject(new WorkerError('workflow.unreadable', 'No workflows are converted here')),
};

/**
 * `GET /workflows`: names, titles, and a JSON Schema of the parameters of each. `POST /workflows/convert`: any file that holds a
 * workflow becomes the body of a job. What cannot be converted is answered 422, with one text for each problem.
 */
export function addWorkflowRoutes(app: FastifyInstance, workflows: WorkflowService): void {
  const summary = 'The workflows that jobs may call by name, with what they ask for';
  app.get('/workflows', { schema: { summary } }, async () => ({
    workflows: await workflows.list(),
  }));

  app.route({
    method: 'POST',
    url: '/workflows/convert',
    bodyLimit: LARGEST_FILE_BYTES,
    config: { takesFile: true },
    schema: {
      summary: 'A job from a file: of the editor, or a picture, video or sound that ComfyUI saved',
    },
    handler: async (request, reply) => {
      try {
        const { what, input } = await workflows.convert(bodyFile(request), goneSignal(reply));
        return await sendJson(reply, jsonObject({ what: jsonValue(what), input: [input.text] }));
      } catch (error) {
        if (!isWorkerError(error) || !error.code.startsWith('workflow.')) throw error;
        const problems = (error.details ?? [error.message]).map((problem) => withoutPaths(problem));
        return await reply.code(422).send({ error: withoutPaths(error.message), problems });
      }
    },
  });
}

const LARGEST_FILE_BYTES = 64_000_000;
