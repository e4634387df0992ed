import type { z } from 'zod';

/** What is wrong with a field of `input`, and where. Never what was sent: it may be a secret. */
export function describeIssue({ path, message }: z.core.$ZodIssue): string {
  return `${pathOf(path)}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}

/** `input.files[2].url` */
function pathOf(path: readonly PropertyKey[]): string {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`));
  return `input${steps.join('')}`;
}
