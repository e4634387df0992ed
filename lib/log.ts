import { pino, type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  readonly level: LogLevel;
  /** `json` writes what RunPod's console reads: one object a line with `requestId`, `level`, `message`. */
  readonly format: 'json' | 'pretty';
  /** Where lines go; standard output when left out. */
  readonly destination?: DestinationStream;
}

/**
 * The root log. Constant text in the message, facts in fields; a job's child carries `requestId`.
 * Nobody logs inputs or results; what could still hold a secret by accident is redacted by name.
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
      { ...options, mixin: requestIdAlways },
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
      messageFormat: READABLE,
      sync: true,
      ...(destination ? { destination } : {}),
    }),
  );
}

/** The log of one job. RunPod's console filters by `requestId`; a batch is told by a prefix, as the Python SDK does. */
export function jobLog(
  log: Logger,
  { jobId, batchId }: { readonly jobId: string; readonly batchId?: string },
): Logger {
  return log.child(
    { requestId: jobId },
    batchId === undefined ? {} : { msgPrefix: `[batchId=${batchId}] ` },
  );
}

/** RunPod expects the key on every line, also on those of no job. */
function requestIdAlways(_fields: object, _level: number, log: Logger): object {
  return 'requestId' in log.bindings() ? {} : { requestId: null };
}

const READABLE = '{if requestId}{requestId} | {end}{message}';

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

/** RunPod keeps 4096 characters of a message: the head and the tail say more than the head alone. */
function shorten(text: unknown): unknown {
  if (typeof text !== 'string' || text.length <= MESSAGE_LENGTH) return text;
  const cut = text.length - MESSAGE_LENGTH;
  return `${text.slice(0, MESSAGE_LENGTH / 2)} [... ${cut} characters left out ...] ${text.slice(-MESSAGE_LENGTH / 2)}`;
}

/** An error may quote what it choked on, and its stack repeats the message. */
function shortError(error: Error): object {
  const fields = Object.entries(pino.stdSerializers.err(error));
  return Object.fromEntries(fields.map(([name, value]) => [name, shorten(value)]));
}

const MESSAGE_LENGTH = 4096;
