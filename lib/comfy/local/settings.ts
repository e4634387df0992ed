import type { Config } from '../../config.ts';

/** What the parts of this room need to know; all times in milliseconds. */
export interface ComfySettings {
  readonly url: string;
  /** File with ComfyUI's process id; looked at only when `url` is on this machine. */
  readonly pidFile: string;
  /** ComfyUI's input folder on this machine; asked for when it is not known and needed. */
  readonly inputDir?: string | undefined;
  /** The same for its output folder. */
  readonly outputDir?: string | undefined;
  readonly availability: {
    readonly intervalMs: number;
    /** Looks before giving up; 0 leaves it to the rules in `readiness.ts`. */
    readonly maxRetries: number;
    readonly startupTimeoutMs: number;
  };
  /** Silence within a request after which it is given up. */
  readonly requestTimeoutMs: number;
  /** Silence on the websocket after which queue and history are asked. */
  readonly pollIntervalMs: number;
  readonly pingIntervalMs: number;
  readonly silenceTimeoutMs: number;
  readonly reconnect: { readonly attempts: number; readonly delayMs: number };
  /** Log every frame of the websocket. */
  readonly trace: boolean;
  readonly limits: Limits;
}

export function comfySettings(config: Config): ComfySettings {
  return {
    url: config.COMFY_URL,
    pidFile: config.COMFY_PID_FILE,
    inputDir: config.COMFY_INPUT_DIR,
    outputDir: config.COMFY_OUTPUT_DIR,
    availability: {
      intervalMs: config.COMFY_API_AVAILABLE_INTERVAL_MS,
      maxRetries: config.COMFY_API_AVAILABLE_MAX_RETRIES,
      startupTimeoutMs: config.COMFY_STARTUP_TIMEOUT_S * 1000,
    },
    requestTimeoutMs: config.COMFY_REQUEST_TIMEOUT_S * 1000,
    pollIntervalMs: config.COMFY_POLL_INTERVAL_S * 1000,
    pingIntervalMs: config.COMFY_PING_INTERVAL_S * 1000,
    silenceTimeoutMs: config.COMFY_SILENCE_TIMEOUT_S * 1000,
    reconnect: {
      attempts: config.WEBSOCKET_RECONNECT_ATTEMPTS,
      delayMs: config.WEBSOCKET_RECONNECT_DELAY_S * 1000,
    },
    trace: config.WEBSOCKET_TRACE,
    limits: LIMITS,
  };
}

/** Bounds nobody has wanted to set from outside yet; milliseconds. */
export const LIMITS = {
  /** One `GET /`. */
  probeMs: 5000,
  /** Opening the websocket, and connecting for a request. */
  connectMs: 10_000,
  /** A socket that was quiet for longer is asked with a ping before it is trusted with a prompt. */
  trustedSilenceMs: 2000,
  /** How long that ping may take. */
  quickPingMs: 1000,
  /** Waiting for the history of a prompt that has ended. */
  historyMs: 10_000,
  /** How long a prompt on its way is still waited for after its job was aborted. */
  submitGraceMs: 2000,
  /** Taking back a prompt that was given up. */
  cancelMs: 5000,
  /** Asking `/object_info` for what would have been accepted. */
  nodeInfoMs: 10_000,
  /** How long a job waits for what `/object_info` says about its nodes before it goes on without. */
  catalogueMs: 3000,
  /** How long a prompt must have been nowhere before it counts as lost: a history can be late. */
  doubtMs: 3000,
  /** The same for a prompt whose post was not answered, before it is posted once more. */
  unansweredMs: 1000,
  /** Looks at queue and history are never closer together than this. */
  lookFloorMs: 50,
} as const;

export type Limits = Readonly<Record<keyof typeof LIMITS, number>>;
