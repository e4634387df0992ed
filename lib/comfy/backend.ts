import type { FileContent } from '../file-content.ts';
import type { JsonText } from '../json.ts';
import type { Logger } from '../log.ts';
import type { WorkerError } from '../errors.ts';
import type { DeviceError } from './nodes/device-errors.ts';

/**
 * A ComfyUI that runs prompts for this worker. `local/local-comfy.ts` implements it for a ComfyUI server of our own.
 * Methods reject with a `WorkerError` (codes `comfy.*` and `input.upload_failed`) or with the reason of the signal.
 */
export interface ComfyBackend extends AsyncDisposable {
  /** Differences between backends that a caller may have to work around. */
  readonly capabilities: BackendCapabilities;

  /** Whether it can run prompts, as far as the worker has noticed. */
  readonly health: BackendHealth;

  /**
   * Resolves when ComfyUI answers and can report events; at once when it already does.
   * @throws WorkerError `comfy.unreachable` or `comfy.socket_failed`, with texts that clients match on.
   */
  waitUntilReady(signal: AbortSignal): Promise<void>;

  /**
   * Finds out whether ComfyUI is down, after something failed with `error`; afterwards {@link health} knows. Takes a few
   * seconds. After a timeout it takes until ComfyUI answers or counts as dead, or `signal` aborts. Does not reject.
   */
  checkHealth(error: unknown, signal: AbortSignal): Promise<void>;

  /** Whether ComfyUI answers right now. Does not reject. */
  isReachable(signal: AbortSignal): Promise<boolean>;

  /** ComfyUI's version; undefined when it does not tell. */
  version(signal: AbortSignal): Promise<string | undefined>;

  /**
   * Stores an input file and replaces one of the same name.
   * @throws WorkerError `comfy.request_failed`, `comfy.protocol` or `input.upload_failed`
   */
  storeInput(file: InputToStore, signal: AbortSignal): Promise<StoredInput>;

  /** Absolute path of ComfyUI's input folder on this machine; undefined when this machine does not see that disk. */
  inputFolder(signal: AbortSignal): Promise<string | undefined>;

  /** Absolute path of ComfyUI's output folder on this machine; undefined when this machine does not see that disk. */
  outputFolder(signal: AbortSignal): Promise<string | undefined>;

  /** Paths of the model folders (`checkpoints`, `loras`, ...) by name; empty when ComfyUI does not tell. */
  modelFolders(signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>>;

  /** Whether ComfyUI has this file. @throws WorkerError `comfy.request_failed` when it does not say. */
  hasFile(file: ComfyFile, signal: AbortSignal): Promise<boolean>;

  /**
   * The bytes of an output, unchanged. Large files are written to a path of the caller's choice.
   * @throws WorkerError `comfy.request_failed` for a status of 400 or more, a broken connection, or an empty file.
   */
  fetchFile(file: ComfyFile, options: FetchFileOptions): Promise<FileContent>;

  /**
   * Descriptions of node classes, as `/object_info` gives them. A class that is not installed has no entry.
   * Undefined when ComfyUI does not answer in time. Cached unless `fresh` is set.
   */
  describeNodes(
    classTypes: Iterable<string>,
    options: { readonly signal: AbortSignal; readonly fresh?: boolean },
  ): Promise<ReadonlyMap<string, JsonText> | undefined>;

  /** Names of all installed node classes; empty when ComfyUI does not answer in time. Slow on large installations. */
  nodeClassNames(signal: AbortSignal): Promise<readonly string[]>;

  /**
   * Classes that are not installed, but that ComfyUI replaces by others in the prompts it gets (`app/node_replace_manager.py`).
   * Empty when it does not tell.
   */
  replacedClassNames(signal: AbortSignal): Promise<ReadonlySet<string>>;

  /**
   * The error for a workflow that the worker itself refuses, worded like a refusal by ComfyUI.
   * `nodeErrors` has the shape of `node_errors` in ComfyUI's answer to `/prompt`; `headline` is the first line.
   */
  rejection(
    workflow: JsonText,
    problems: { readonly nodeErrors: JsonText; readonly headline?: string },
    signal: AbortSignal,
  ): Promise<WorkerError>;

  /**
   * Runs a workflow to its end. A prompt that is given up is cancelled in ComfyUI before this rejects.
   * A node that raises is an outcome, not an error.
   */
  runPrompt(request: PromptRequest, options: PromptOptions): Promise<PromptOutcome>;

  /**
   * Clears the cache of node results, so that the next prompt runs in full. Does nothing while prompts run or wait,
   * because they may rely on the cache.
   * @returns whether the cache will be cleared.
   */
  clearCache(signal: AbortSignal): Promise<boolean>;

  /**
   * Does what helps against an error of the device: see `nodes/device-errors.ts`. Does not reject for another reason than
   * that of the signal.
   * @returns whether prompts can be run again; false when only another machine helps.
   */
  cure(error: DeviceError, signal: AbortSignal): Promise<boolean>;
}

export interface BackendHealth {
  readonly status: 'up' | 'starting' | 'down';
  /** Milliseconds since the epoch when it went down. Undefined while it is up, and during its first start. */
  readonly downSince: number | undefined;
  /** How often it has gone down, or was found restarted. A prompt that ran meanwhile is lost. */
  readonly losses: number;
  /** Whether it has been down for longer than it is waited for. */
  readonly isGivenUp: boolean;
  /** Resolves to true when it is up, and to false when it is not waited for any longer. Rejects with the signal's reason. */
  untilUp(signal: AbortSignal): Promise<boolean>;
  /** Resolves to true when it is down and not waited for any longer, and to false when `signal` aborts first. */
  untilGivenUp(signal: AbortSignal): Promise<boolean>;
  /** @returns a function that ends this. */
  onChange(listener: () => void): () => void;
}

export interface BackendCapabilities {
  /** How requests are authenticated. */
  readonly authentication: 'none' | 'bearer' | 'x-api-key';
  /** Path before every route, for example `/api`; empty when there is none. */
  readonly pathPrefix: string;
  /** Whether the worker may choose the prompt id, so that a prompt whose answer was lost can be found again. */
  readonly ownPromptIds: boolean;
  /** Whether its folders can be on a disk that this worker sees. */
  readonly sharedDisk: boolean;
  /** Whether the history entry of an ended prompt can be read at `/history/<prompt id>`. */
  readonly history: boolean;
  /** Whether it reports progress per node. */
  readonly nodeProgress: boolean;
  /** Whether it can send preview images while a node works. */
  readonly previews: boolean;
  /** Whether cached results and models can be dropped from its memory. */
  readonly freeMemory: boolean;
}

/** A file as ComfyUI names it. */
export interface ComfyFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

/** A file of any kind to put into ComfyUI's input folder. */
export interface InputToStore {
  readonly name: string;
  readonly content: FileContent;
  readonly mediaType: string;
  /** Within the input folder; created when missing. */
  readonly subfolder?: string;
  /** Set for a mask: ComfyUI stores the named image with the alpha channel of this file. */
  readonly maskOf?: ComfyFile;
}

/** Where ComfyUI stored an input file. The name may differ from the requested one. */
export interface StoredInput {
  readonly name: string;
  readonly subfolder: string;
  readonly type: string;
}

export interface FetchFileOptions {
  readonly signal: AbortSignal;
  /** Gives the path for a file too large for memory. The file belongs to the caller, who removes it. */
  readonly newPath: () => Promise<string>;
  /** The largest file held in memory. */
  readonly memoryBytes: number;
}

export interface PromptRequest {
  /** Sent on character for character. */
  readonly workflow: JsonText;
  /** Key for API nodes: any JSON, forwarded as it was sent. */
  readonly apiKey?: JsonText | undefined;
  /** Metadata ComfyUI writes into the files it saves; forwarded as it was sent. */
  readonly extraPnginfo?: JsonText | undefined;
  /** Fail with `comfy.partly_accepted` when ComfyUI accepts only a part of the workflow. Default false. */
  readonly mustBeComplete?: boolean | undefined;
}

export interface PromptOptions extends PromptObserver {
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** Callbacks while a prompt runs. They are called while the socket is read: they must be quick. */
export interface PromptObserver {
  /**
   * ComfyUI is free for the next prompt; the history is not read yet. Not called when the event was lost with a
   * connection: then the outcome comes without it.
   */
  onDone?(): void;
  /** The prompt has begun to run. Not called when the event was lost, and the prompt has ended since. */
  onStarted?(): void;
  onProgress?(progress: Progress): void;
  /** ComfyUI sends previews only when it was started with a preview method. */
  onPreview?: ((preview: Preview) => void) | undefined;
  /** A node has sent an image of the result through the socket, and saved it nowhere (`SaveImageWebsocket`). */
  onImage?(image: Required<Preview>): void;
  /** The prompt did not succeed, and why is in the outcome or in the error that follows. Not called for a refused one. */
  onFailed?(failure: PromptFailure): void;
  /** A node has made its output. It can be fetched while later nodes run. Not every output is announced. */
  onOutput?(nodeId: string, output: JsonText): void;
}

/** Where a prompt stood when it failed or was given up. What is not known is undefined. */
export interface PromptFailure {
  /**
   * `queued`: waiting in ComfyUI's queue. `sampling`: a node reports steps. `loading`: at work without steps, as while it
   * loads a model. `silent`: no message for seconds, and no use of processor or disk as far as the worker can see.
   */
  readonly activity: 'queued' | 'loading' | 'sampling' | 'silent';
  /** The node that raised, or the one that was at work. */
  readonly nodeId: string | undefined;
  readonly nodeTitle: string | undefined;
  readonly progress: Pick<Progress, 'percent' | 'step' | 'steps'>;
  /** The last lines ComfyUI wrote while this prompt ran, redacted; empty when they may be of another prompt. */
  readonly logTail: readonly string[];
  readonly versions: Readonly<
    Partial<Record<'comfyui' | 'python' | 'pytorch', string | undefined>>
  >;
  /** Bytes, after the failure. */
  readonly memory: Readonly<
    Partial<Record<'ram_total' | 'ram_free' | 'vram_total' | 'vram_free', number | undefined>>
  >;
}

export interface Progress {
  /** 0 to 100; never falls. */
  readonly percent: number;
  /** Id of the node at work. */
  readonly node: string;
  /** Its title in the editor, or its class. */
  readonly nodeTitle: string;
  readonly step?: number;
  readonly steps?: number;
}

/** An image of a result that is not finished yet. */
export interface Preview {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** The node at work when it arrived. */
  readonly nodeId?: string;
}

export type Ending = 'succeeded' | 'failed' | 'interrupted';

export interface PromptOutcome {
  readonly promptId: string;
  readonly ending: Ending;
  /** Id of the node that raised. */
  readonly failedNode?: string;
  /** One text per failure or skipped part, in the order they happened. Empty when all went well. */
  readonly problems: readonly string[];
  /** Set when a node failed because of the device, and not because of the workflow. */
  readonly deviceError?: DeviceError;
  /** `outputs` of the history: node id → outputs of that node, in ComfyUI's order. */
  readonly outputs: JsonText | undefined;
  readonly timings: PromptTimings;
}

/** Milliseconds since `runPrompt` was called, by the worker's clock. */
interface PromptTimings {
  /** ComfyUI had accepted the prompt. */
  readonly queuedMs: number;
  /** The prompt began to run. Equal to `endedMs` when its start was not reported. */
  readonly startedMs: number;
  /** The prompt had ended, successfully or not. */
  readonly endedMs: number;
  /** Its history was read. */
  readonly readMs: number;
  /** From start to end by ComfyUI's own clock. */
  readonly executionMs: number | undefined;
  /** Milliseconds each node was at work, by node id. Cached nodes are missing. */
  readonly nodes: Readonly<Record<string, number>>;
}
