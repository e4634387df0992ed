import { pino, type DestinationStream, type Logger } from 'pino';
import type { PrettyOptions } from 'pino-pretty';

export type { Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  readonly level: LogLevel;
  /** `json`: one object per line with `requestId`, `level` and `message`, as RunPod's console reads it. */
  readonly format: 'json' | 'pretty';
  /** Standard output by default. */
  readonly destination?: DestinationStream;
}

/**
 * The root log. Messages are constant; facts are in fields. A job's child log has `requestId`. Inputs and results are never
 * logged; fields whose names suggest a secret are redacted in any case.
 */
export async function createLog({ level, format, destination }: LogOptions): Promise<Logger> {
  const options = {
    level,
    messageKey: 'message',
    base: null,
    timestamp:
      format === 'pretty' ? pino.stdTimeFunctions.epochTime : pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label.toUpperCase() }) },
    redact: { paths: SECRET_PATHS, censor: '[redacted]' },
    serializers: { message: shorten, reason: shorten, error: shorten, err: shortError },
  };
  if (format === 'json')
    return pino(
      // RunPod expects the key on every line, also on lines that belong to no job.
      {
        ...options,
        mixin: (_fields, _level, log) => ('requestId' in log.bindings() ? {} : { requestId: null }),
      },
      destination ?? pino.destination({ sync: true }),
    );
  const { default: pretty } = await import('pino-pretty');
  return pino(
    options,
    pretty({
      messageKey: 'message',
      levelKey: 'level',
      translateTime: 'HH:MM:ss.l',
      ignore: 'requestId',
      messageFormat: readable,
      sync: true,
      ...(destination ? { destination } : {}),
    }),
  );
}

/** The log of one job. RunPod's console filters by `requestId`. A batch id becomes a prefix, as in the Python SDK. */
export function jobLog(
  log: Logger,
  { jobId, batchId }: { readonly jobId: string; readonly batchId?: string },
): Logger {
  return log.child(
    { requestId: jobId },
    batchId === undefined ? {} : { msgPrefix: `[batchId=${batchId}] ` },
  );
}

/**
 * Job ids and messages may hold anything that a caller sent. Only the log itself begins a line: the further lines of a
 * message are indented, and other control characters are shown as escapes.
 */
const readable: NonNullable<PrettyOptions['messageFormat']> = ({ requestId, message }) => {
  const text = typeof message === 'string' ? message : '';
  const shown = text.split(/\r?\n/).map(escapeControls).join('\n    ');
  return typeof requestId === 'string' ? `${escapeControls(requestId)} | ${shown}` : shown;
};

/** Also line breaks of Unicode, and characters that change the direction of writing. */
const CONTROLS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

function escapeControls(text: string): string {
  return text.replace(CONTROLS, (found) => {
    const code = found.charCodeAt(0).toString(16).padStart(4, '0');
    return found === '\t' ? found : `\\u${code}`;
  });
}

const SECRET_NAMES = [
  'authorization',
  'Authorization',
  'apiKey',
  'api_key',
  'token',
  'password',
  'secret',
  'accessSecret',
  'secretAccessKey',
  'comfy_org_api_key',
  'api_key_comfy_org',
];
const SECRET_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** RunPod cuts a message after 4096 characters. The middle is removed instead, because the end may matter more. */
function shorten(text: unknown): unknown {
  if (typeof text !== 'string' || text.length <= MESSAGE_LENGTH) return text;
  const cut = text.length - MESSAGE_LENGTH;
  return `${text.slice(0, MESSAGE_LENGTH / 2)} [... ${cut} characters left out ...] ${text.slice(-MESSAGE_LENGTH / 2)}`;
}

/** The message of an error may quote a large input, and its stack repeats the message. */
function shortError(error: Error): object {
  const fields = Object.entries(pino.stdSerializers.err(error));
  return Object.fromEntries(fields.map(([name, value]) => [name, shorten(value)]));
}

const MESSAGE_LENGTH = 4096;
