import { pino, type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

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
    hooks: {
      logMethod(
        this: Logger,
        args: Parameters<Logger['info']>,
        method: (...args: Parameters<Logger['info']>) => void,
      ) {
        method.apply(this, args.map(shorten) as Parameters<Logger['info']>);
      },
    },
  };
  if (format === 'json')
    return destination
      ? pino(options, destination)
      : pino(options, pino.destination({ sync: true }));
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

const READABLE = '{if requestId}{requestId} | {end}{message}';

const SECRET_NAMES = [
  'authorization',
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
function shorten(argument: unknown): unknown {
  if (typeof argument !== 'string' || argument.length <= MESSAGE_LENGTH) return argument;
  const cut = argument.length - MESSAGE_LENGTH;
  return `${argument.slice(0, MESSAGE_LENGTH / 2)} [... ${cut} characters left out ...] ${argument.slice(-MESSAGE_LENGTH / 2)}`;
}

const MESSAGE_LENGTH = 4096;
