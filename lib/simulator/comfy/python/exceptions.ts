import { ValueList, type ImageBatch } from '../nodes/node.ts';
import { PyFloat } from './python-json.ts';
import { pyStr, fromPlain } from './python-text.ts';

/**
 * An error of a node in the format of `execution_error`. The error's name is used as the Python class:
 * `RuntimeError`, `torch.OutOfMemoryError`. A plain `Error` becomes `Exception`.
 */
export function describeException(error: Error) {
  const type = error.name === 'Error' ? 'Exception' : error.name;
  return {
    exception_message: `${error.message}\n${type.endsWith('OutOfMemoryError') ? OUT_OF_MEMORY : ''}`,
    exception_type: type,
    traceback: TRACEBACK,
  };
}

const OUT_OF_MEMORY = '(simulated) The GPU has too little memory; try a smaller batch_size.';

/** Inputs of the failed node, each as a list, of one value as a rule. Values other than scalars are shown as Python prints them. */
export function describeInputs(inputs: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [
      name,
      value instanceof ValueList ? value.items.map(show) : [show(value)],
    ]),
  );
}

function show(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value !== 'object' || value === null || value instanceof PyFloat) return value;
  if ('frames' in value) return tensorText(value as ImageBatch);
  return Array.isArray(value) ? pyStr(fromPlain(value)) : '<simulated object>';
}

function tensorText({ frames, height, width, channels }: ImageBatch): string {
  return `tensor(simulated, size=(${frames.length}, ${height}, ${width}, ${channels}))`;
}

/** In place of ComfyUI's Python traceback. */
export const TRACEBACK = ['  (simulated: no traceback)\n'];
