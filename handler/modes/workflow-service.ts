import type { ConvertedFile, WorkflowService } from '../../lib/api/server/workflow-routes.ts';
import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import { WorkerError } from '../../lib/errors.ts';
import { ByteSource } from '../../lib/workflow/embedded/byte-source.ts';
import { openWorkflowFile } from '../../lib/workflow/embedded/embedded.ts';
import { recognise } from '../../lib/workflow/recognise.ts';
import { toApiFormat } from '../resolve-workflow.ts';

interface ServiceOptions {
  readonly comfy: Pick<ComfyBackend, 'describeNodes'>;
  readonly simulated?: boolean;
  readonly workflowsDir: string | undefined;
}

/** Lists workflows for the local API, and converts files for the page. */
export function workflowService({ workflowsDir, ...conversion }: ServiceOptions): WorkflowService {
  return {
    list: async () =>
      workflowsDir === undefined
        ? []
        : (await import('../../lib/workflow/named/named.ts')).listWorkflows(workflowsDir),
    convert: (file, signal) => convertFile(file, { ...conversion, signal }),
  };
}

async function convertFile(
  file: Buffer,
  options: Omit<ServiceOptions, 'workflowsDir'> & { readonly signal: AbortSignal },
): Promise<ConvertedFile> {
  const found = recognise(await openWorkflowFile(ByteSource.ofBytes(file)));
  if (found.kind === 'other') {
    throw new WorkerError('workflow.unreadable', `Expected a workflow, got ${found.what}`);
  }
  const { what, input } = found;
  const sent = input.get('workflow');
  if (found.kind !== 'editor' || !sent) return { what, input };
  const workflow = await toApiFormat(sent, options);
  return { what, input: input.replacing(sent, workflow.text) };
}
