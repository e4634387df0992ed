import type { Config } from '../config.ts';
import type { LogLevel } from '../log.ts';

/** Settings of a local ComfyUI. All times are milliseconds. */
export interface ComfySettings {
  readonly url: string;
  /** File with ComfyUI's process id; read only when `url` is on this machine. */
  readonly pidFile: string;
  /** ComfyUI's input folder on this machine; searched for when undefined. */
  readonly inputDir?: string | undefined;
  /** ComfyUI's output folder on this machine; searched for when undefined. */
  readonly outputDir?: string | undefined;
  /** Waiting for ComfyUI to start. */
  readonly availability: {
    readonly intervalMs: number;
    /** Attempts before giving up; 0 for the defaults in `readiness.ts`. */
    readonly maxRetries: number;
    readonly startupTimeoutMs: number;
  };
  /** A ComfyUI that is down for longer is not waited for any more; undefined: its jobs fail at once. */
  readonly downTimeoutMs?: number | undefined;
  /** A request that receives nothing for this long is given up. */
  readonly requestTimeoutMs: number;
  /** After this long without an event, queue and history are asked. */
  readonly pollIntervalMs: number;
  /** A port that accepts but does not answer is waited for this long before the websocket is given up. */
  readonly silentPortMs: number;
  /** Between two pings on the websocket. */
  readonly pingIntervalMs: number;
  /** A running prompt without events for this long is given up. */
  readonly silenceTimeoutMs: number;
  /** How long ComfyUI may give no sign of life, and how long a prompt that was given up may go on. */
  readonly unresponsiveMs: number;
  readonly reconnect: { readonly attempts: number; readonly delayMs: number };
  /** Lines of ComfyUI's output in the report on a failure, at most; 0: none. */
  readonly failureLogLines: number;
  /** Whether every frame of the websocket is logged. */
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
    // A supervisor sees more than this, and ends the wait itself.
    silentPortMs: config.COMFY_COMMAND ? Infinity : config.COMFY_UNRESPONSIVE_S * 1000,
    pingIntervalMs: config.COMFY_PING_INTERVAL_S * 1000,
    silenceTimeoutMs: config.COMFY_SILENCE_TIMEOUT_S * 1000,
    unresponsiveMs: config.COMFY_UNRESPONSIVE_S * 1000,
    reconnect: {
      attempts: config.WEBSOCKET_RECONNECT_ATTEMPTS,
      delayMs: config.WEBSOCKET_RECONNECT_DELAY_S * 1000,
    },
    failureLogLines: config.FAILURE_LOG_TAIL,
    trace: config.WEBSOCKET_TRACE,
    limits: LIMITS,
  };
}

/** How ComfyUI is started and watched. All times are milliseconds. */
export interface SupervisorSettings {
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Level at which ComfyUI's output appears in the log. */
  readonly logLevel: LogLevel;
  readonly unresponsiveMs: number;
  /** Restarts within `restartWindowMs` before it rests until the window has passed. */
  readonly maxRestarts: number;
  readonly restartWindowMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly endGraceMs: number;
}

/** Undefined without `COMFY_COMMAND`. */
export function supervisorSettings(config: Config): SupervisorSettings | undefined {
  if (config.COMFY_COMMAND === undefined) return undefined;
  return {
    command: [...config.COMFY_COMMAND, ...config.COMFY_ARGS],
    logLevel: config.COMFY_LOG_LEVEL,
    unresponsiveMs: config.COMFY_UNRESPONSIVE_S * 1000,
    maxRestarts: config.COMFY_MAX_RESTARTS,
    restartWindowMs: config.COMFY_RESTART_WINDOW_S * 1000,
    endGraceMs: Math.min(3000, (config.SHUTDOWN_GRACE_S * 1000) / 4),
  };
}

/** Limits that are not configurable. */
export const LIMITS = {
  /** One `GET /`. */
  probeMs: 5000,
  /** A request that may be sent twice is checked for a half-open connection after this long without progress. */
  stallMs: 5000,
  /** Opening the websocket, and opening a connection for a request. */
  connectMs: 10_000,
  /** A websocket without a frame for this long is checked with a ping before a prompt is submitted. */
  trustedSilenceMs: 2000,
  /** Waiting for the answer to that ping. */
  quickPingMs: 1000,
  /** Waiting for the history of a prompt that has ended. */
  historyMs: 10_000,
  /** Waiting for the answer to `/prompt` after the job was aborted. */
  submitGraceMs: 2000,
  /** Cancelling a prompt. */
  cancelMs: 5000,
  /** All requests for the report on a failed prompt. */
  diagnosisMs: 2000,
  /** One request for information that is useful but not essential, such as `/object_info` of one class. */
  nodeInfoMs: 10_000,
  /**
   * All `/object_info` requests of a job together, before it goes on without them. A ComfyUI that runs another prompt can
   * need seconds for an answer, and a job that goes on without saves outside its job folder.
   */
  catalogueMs: 10_000,
  /** A prompt counts as lost when it was in neither queue nor history for this long, because a history can be late. */
  doubtMs: 3000,
  /** The same for a prompt whose post was not answered, before it is posted again. */
  unansweredMs: 1000,
  /** Between two looks at an external ComfyUI while no prompt runs. */
  idleLookMs: 3000,
  /** Between two looks whether an external ComfyUI that is down answers again. */
  recoveryLookMs: 1000,
  /** The supervisor notices the death of ComfyUI within this time. */
  lossNoticeMs: 3000,
  /** Minimum time between two looks at queue and history. */
  lookFloorMs: 50,
  /** The default of `--max-upload-size` (`comfy/cli_args.py`), which limits a whole request. */
  uploadBytes: 100 * 1024 * 1024,
  /** The most that one answer may have, apart from files. History and `/object_info` can have tens of megabytes. */
  answerBytes: 128 * 1024 * 1024,
} as const;

export type Limits = Readonly<Record<keyof typeof LIMITS, number>>;
