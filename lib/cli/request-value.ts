import type { EndpointInputPayload } from 'runpod-sdk';
import type { JsonText } from '../json.ts';

/**
 * What the SDK is given for a job. The SDK takes values and makes JSON of them, which rounds integers beyond 2^53, and
 * seeds go further than that. Where that would happen the input goes as a text that holds it, which workers read as well.
 */
export function toRequest(job: JsonText): EndpointInputPayload {
  const request = job.value() as EndpointInputPayload;
  const input = job.get('input');
  return input && hasRoundedInteger(input) ? { ...request, input: input.text } : request;
}

function hasRoundedInteger(json: JsonText): boolean {
  if (json.kind === 'object') return json.entries().some(([, member]) => hasRoundedInteger(member));
  if (json.kind === 'array') return json.items().some(hasRoundedInteger);
  if (json.kind !== 'number' || !/^-?\d+$/.test(json.text)) return false;
  return !Number.isSafeInteger(Number(json.text));
}
