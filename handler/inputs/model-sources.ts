import { modelsNotInstalled } from '../../lib/comfy/nodes/node-problems.ts';
import { isWorkerError, shownLines, WorkerError } from '../../lib/errors.ts';
import { redactUrl } from '../../lib/http/redact.ts';
import type { JsonText } from '../../lib/json.ts';
import { modelsInWorkflow } from '../../lib/models/manifest/init-manifest.ts';
import { maybeManifest, modelsOf } from '../../lib/models/manifest/read-manifest.ts';
import { filenameOf } from '../../lib/models/manifest/schema.ts';
import { unquoted } from '../../lib/workflow/recognise.ts';

/**
 * Adds to the refusal of a workflow where its missing models can be had: the manifest of this worker may tell, and so may
 * the file of the editor, as the workflow itself or in `extra_pnginfo`. Other errors stay as they are.
 *
 * @param input of the job, as it was sent
 */
export async function withModelSources(
  error: unknown,
  input: JsonText,
  manifestFile: string,
): Promise<unknown> {
  if (!isWorkerError(error, 'comfy.rejected') && !isWorkerError(error, 'comfy.partly_accepted'))
    return error;
  const missing = modelsNotInstalled(error.message);
  if (missing.length === 0) return error;
  const manifest = await maybeManifest(manifestFile).catch(() => undefined);
  const inWorkflow = ['workflow', 'extra_pnginfo'].flatMap((name) => {
    const member = unquoted(input.get(name));
    return member ? modelsInWorkflow(member) : [];
  });
  const known = [
    ...(manifest ? modelsOf(manifest) : []).map((model) => ({ model, by: 'the manifest' })),
    ...inWorkflow.map((model) => ({ model, by: 'the workflow' })),
  ];
  const sources = missing.flatMap((file) => {
    const name = file.split(/[/\\]/).at(-1);
    const found = known.find(({ model }) => filenameOf(model) === name);
    if (!found) return [];
    const { url, folder } = found.model;
    return [`• ${file}: ${redactUrl(url)}, for the folder models/${folder} (says ${found.by})`];
  });
  if (sources.length === 0) return error;
  const text = `${error.message}\n\nWhere to get missing models:\n${shownLines(sources).join('\n')}`;
  return new WorkerError(error.code, text, {
    cause: error,
    ...(error.details && { details: error.details }),
  });
}
