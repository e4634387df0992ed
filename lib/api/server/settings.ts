import { invalidConfig, type Config } from '../../config.ts';
import { isLoopback } from '../../http/public-address.ts';
import type { MemoryLimits } from '../jobs/memory-budget.ts';

/** Settings of the local API. Times are in milliseconds. */
export interface ApiSettings {
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;
  /** Undefined: no key is required. */
  readonly key: string | undefined;
  /** Origins whose web pages may call; `*` means all. */
  readonly corsOrigins: readonly string[];
  readonly rateLimits: boolean;
  readonly maxBytes: Readonly<Record<RunKind, number>>;
  /** How long an ended job is remembered, at least. */
  readonly retentionMs: Readonly<Record<RunKind, number>>;
  /** For jobs whose policy has none. */
  readonly executionTimeoutMs: number;
  readonly memory: MemoryLimits;
  readonly allowPrivateWebhooks: boolean;
}

/** The operation that submitted a job. */
export type RunKind = 'run' | 'runsync';

/** Address from the command line; it wins over the environment. */
export interface ListenAddress {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/** @throws WorkerError `config.invalid` when others could reach the API without a key, and this is not explicitly allowed. */
export function apiSettings(config: Config, address: ListenAddress = {}): ApiSettings {
  const host = address.host ?? config.API_HOST ?? (config.SERVE_API_LOCALLY ? '0.0.0.0' : LOOPBACK);
  const mayBeOpen = config.API_KEY !== undefined || config.API_ALLOW_UNAUTHENTICATED;
  if (!isLoopback(host) && !mayBeOpen) throw invalidConfig([openToOthers(host)]);
  return {
    host,
    port: address.port ?? config.API_PORT,
    key: config.API_KEY,
    corsOrigins: (config.API_CORS_ORIGIN ?? '').split(/[\s,]+/).filter(Boolean),
    rateLimits: config.API_RATE_LIMITS,
    maxBytes: { run: config.API_RUN_MAX_BYTES, runsync: config.API_RUNSYNC_MAX_BYTES },
    retentionMs: {
      run: config.API_RUN_RETENTION_S * 1000,
      runsync: config.API_RUNSYNC_RETENTION_S * 1000,
    },
    executionTimeoutMs: config.JOB_TIMEOUT_S * 1000,
    memory: { records: config.API_MAX_RECORDS, bytes: config.API_MAX_RECORD_BYTES },
    allowPrivateWebhooks: config.API_WEBHOOK_ALLOW_PRIVATE,
  };
}

const openToOthers = (host: string): string =>
  `The local API would listen on ${host}, where others can reach it, and API_KEY is not set: everybody could run workflows here. ` +
  'Set API_KEY, or API_ALLOW_UNAUTHENTICATED=true if something else keeps strangers out';

const LOOPBACK = '127.0.0.1';
