import { choicesOf } from '../../choices.ts';
import { JsonText } from '../../json.ts';
import { shownLines } from '../../errors.ts';
import { shown } from './node-failure.ts';
import { nodeProblems, type ProblemContext } from './node-problems.ts';

/**
 * The error text for ComfyUI's answer 400 to `/prompt`. Clients match on the first line, the bullets and the endings.
 * Each bullet is one problem of one node.
 */
export async function rejectionText(body: string, context: ProblemContext): Promise<string> {
  const answer = JsonText.maybeParse(body);
  if (answer === undefined)
    return `ComfyUI validation failed (could not parse error response): ${shortened(body)}`;
  const nodeErrors = answer.get('node_errors');
  if (answer.kind !== 'object' || nodeErrors?.kind === 'array')
    return `Unexpected error queuing workflow: ${shortened(body)}`;
  if (answer.get('type')?.value() === OUTPUTS_FAILED) {
    const message = shown(answer.get('message') ?? JsonText.of(VALIDATION_FAILED));
    return `${message}\n\n${USUAL_CAUSE}\n${await installedCheckpoints(context)}`;
  }
  const problems = await nodeProblems(nodeErrors, context);
  const headline = headlineOf(answer.get('error'));
  if (problems.length === 0) return `${headline}. Raw response: ${shortened(body)}`;
  const isCheckpointMissing = (nodeErrors?.entries() ?? []).some(
    ([, entry]) => /not.in.list/.test(entry.text) && entry.text.includes('ckpt_name'),
  );
  const ending = isCheckpointMissing ? `\n\n${await installedCheckpoints(context)}` : '';
  return `${headline}:\n${bullets(problems)}${missingFilesText(nodeErrors)}${ending}`;
}

const shortened = (body: string) => (body.length > MAX_BODY ? `${body.slice(0, MAX_BODY)}…` : body);
const MAX_BODY = 8192;

const bullets = (lines: readonly string[]) => lines.map((line) => `• ${line}`).join('\n');

/**
 * The text of newer Python workers for files that loaders name and the worker does not have. It comes behind the text of
 * older ones, because clients match on that as well. Empty if no file is missing.
 */
function missingFilesText(nodeErrors: JsonText | undefined): string {
  const files = (nodeErrors?.entries() ?? []).flatMap(([nodeId, entry]) => {
    const classType = shown(entry.get('class_type'));
    const errors = FILE_LOADERS.has(classType) ? (entry.get('errors')?.items() ?? []) : [];
    return errors
      .filter((error) => FILE_MISSING.has(shown(error.get('type'))))
      .map((error) => {
        const extra = error.get('extra_info');
        const [file, input] = [extra?.get('received_value'), extra?.get('input_name')].map(shown);
        return file === '' ? '' : `${file} (${input} of node ${nodeId}, ${classType})`;
      })
      .filter((line) => line !== '');
  });
  if (files.length === 0) return '';
  return `\n\n${FILES_NOT_AVAILABLE}\n${bullets(shownLines(files))}\n\nAdd these files to the worker, or use files that it has.`;
}

function headlineOf(error: JsonText | undefined): string {
  if (error === undefined) return VALIDATION_FAILED;
  if (error.kind !== 'object') return shown(error);
  const message = error.get('message');
  const isGeneral = error.get('type')?.value() === OUTPUTS_FAILED;
  return message === undefined || isGeneral ? VALIDATION_FAILED : shown(message);
}

async function installedCheckpoints({ nodeInfo }: ProblemContext): Promise<string> {
  const info = await nodeInfo('CheckpointLoaderSimple').catch(() => undefined);
  const names = choicesOf(info?.get('input')?.get('required')?.get('ckpt_name')) ?? [];
  return names.length > 0
    ? `Available checkpoint models: ${shownLines(names).join(', ')}`
    : 'No checkpoint models appear to be available. Please check your model installation.';
}

const VALIDATION_FAILED = 'Workflow validation failed';
const FILES_NOT_AVAILABLE =
  'Workflow validation failed — the following referenced files are not available on this worker:';
/** The loaders that newer Python workers look at. */
const FILE_LOADERS: ReadonlySet<string> = new Set([
  'CheckpointLoaderSimple',
  'LoraLoader',
  'VAELoader',
  'DualCLIPLoader',
  'TripleCLIPLoader',
  'UNETLoader',
  'UnetLoaderGGUF',
  'Hy3DModelLoader',
  'UpscaleModelLoader',
  'LoadImage',
]);
const FILE_MISSING: ReadonlySet<string> = new Set(['value_not_in_list', 'input_file_missing']);
const OUTPUTS_FAILED = 'prompt_outputs_failed_validation';
const USUAL_CAUSE = 'This usually means a required model or parameter is not available.';
