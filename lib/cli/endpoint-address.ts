import { WorkerError } from '../errors.ts';

/** Where an endpoint is, in the form the SDK wants it. */
export interface EndpointAddress {
  /** Absent for RunPod itself. */
  readonly baseUrl?: string;
  readonly endpointId: string;
  /** Whether the key of the environment may be sent there. */
  readonly isRunpod: boolean;
}

/**
 * An id on RunPod, or a URL: `http://127.0.0.1:8000`, `http://127.0.0.1:8000/v2/local`, also with `/run` behind it.
 * @throws WorkerError `usage.invalid`.
 */
export function parseEndpoint(text: string): EndpointAddress {
  if (/^[\w-]+$/.test(text)) return { endpointId: text, isRunpod: true };
  const url = maybeHttpUrl(text);
  if (!url) throw notAnEndpoint(text);
  const path = url.pathname.replace(/\/(?:run|runsync)?\/*$/, '');
  const [, prefix = '', endpointId] = /^(.*?\/v2)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (prefix === '' && path !== '') throw notAnEndpoint(text);
  return {
    baseUrl: `${url.origin}${prefix || '/v2'}`,
    endpointId: endpointId ?? 'local',
    isRunpod: url.protocol === 'https:' && /(?:^|\.)runpod\.(?:ai|io|net)$/.test(url.hostname),
  };
}

function maybeHttpUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url && /^https?:$/.test(url.protocol) ? url : undefined;
}

function notAnEndpoint(text: string): WorkerError {
  return new WorkerError(
    'usage.invalid',
    `Expected --endpoint to be an id, or a URL like http://127.0.0.1:8000/v2/local, got ${JSON.stringify(text)}`,
  );
}
