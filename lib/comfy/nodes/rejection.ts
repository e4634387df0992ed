import { choicesOf } from '../../choices.ts';
import { JsonText } from '../../json.ts';
import { shown } from './node-failure.ts';
import { nodeProblems, type ProblemContext } from './node-problem.ts';

/**
 * ComfyUI's 400 → a text for people. First line, bullets and endings are those clients know; a bullet tells one problem.
 */
export async function rejectionText(body: string, context: ProblemContext): Promise<string> {
  const answer = JsonText.maybeParse(body);
  if (answer === undefined)
    return `ComfyUI validation failed (could not parse error response): ${body}`;
  const nodeErrors = answer.get('node_errors');
  if (answer.kind !== 'object' || nodeErrors?.kind === 'array')
    return `Unexpected error queuing workflow: ${body}`;
  if (answer.get('type')?.value() === OUTPUTS_FAILED)
    return `${shown(answer.get('message') ?? JsonText.of(FAILED))}\n\n${USUALLY}\n${await checkpoints(context)}`;
  const problems = await nodeProblems(nodeErrors, context);
  const headline = headlineOf(answer);
  if (problems.length === 0) return `${headline}. Raw response: ${body}`;
  const ending = lacksCheckpoint(nodeErrors) ? `\n\n${await checkpoints(context)}` : '';
  return `${headline}:\n${problems.map((problem) => `• ${problem}`).join('\n')}${ending}`;
}

function headlineOf(answer: JsonText): string {
  const error = answer.get('error');
  if (error === undefined) return FAILED;
  if (error.kind !== 'object') return shown(error);
  const message = error.get('message');
  return message === undefined || error.get('type')?.value() === OUTPUTS_FAILED
    ? FAILED
    : shown(message);
}

function lacksCheckpoint(nodeErrors: JsonText | undefined): boolean {
  return (nodeErrors?.entries() ?? []).some(([, entry]) =>
    [/not.in.list/, /ckpt_name/].every((part) => part.test(entry.text)),
  );
}

async function checkpoints({ nodeInfo }: ProblemContext): Promise<string> {
  const info = await nodeInfo('CheckpointLoaderSimple').catch(() => undefined);
  const names = choicesOf(info?.get('input')?.get('required')?.get('ckpt_name')) ?? [];
  return names.length > 0
    ? `Available checkpoint models: ${names.join(', ')}`
    : 'No checkpoint models appear to be available. Please check your model installation.';
}

const FAILED = 'Workflow validation failed';
const OUTPUTS_FAILED = 'prompt_outputs_failed_validation';
const USUALLY = 'This usually means a required model or parameter is not available.';
