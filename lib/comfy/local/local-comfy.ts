import { systemClock, type Clock } from '../../clock.ts';
import { WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import { ComfyClient } from '../transport/client.ts';
import type {
  BackendCapabilities,
  ComfyBackend,
  ComfyFile,
  FetchFileOptions,
  InputToStore,
  PromptOptions,
  PromptOutcome,
  PromptRequest,
  StoredInput,
} from '../backend.ts';
import { NodeCatalogue } from '../nodes/node-catalogue.ts';
import { rejectionText } from '../nodes/rejection.ts';
import { expectProcess, waitUntilReachable } from './readiness.ts';
import { runPrompt } from '../prompt/run-prompt.ts';
import type { ComfySettings } from './settings.ts';
import { SharedFolder } from './shared-folder.ts';
import { ComfySocket } from '../transport/socket.ts';
import { storeInput } from './store-input.ts';

/** A ComfyUI: its HTTP connections and its one websocket, kept for the life of the worker. */
export class LocalComfy implements ComfyBackend {
  readonly capabilities: BackendCapabilities;
  readonly #settings: ComfySettings;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #client: ComfyClient;
  readonly #inputFolder: SharedFolder;
  readonly #outputFolder: SharedFolder;
  readonly #socket: ComfySocket;
  readonly #catalogue: NodeCatalogue;

  constructor(
    settings: ComfySettings,
    { log, clock = systemClock }: { readonly log: Logger; readonly clock?: Clock },
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
    this.#client = new ComfyClient(settings, clock);
    this.capabilities = { ...CAPABILITIES, pathPrefix: this.#client.pathPrefix };
    this.#socket = new ComfySocket({ client: this.#client, settings, clock, log });
    const connection = () => this.#socket.clientId;
    this.#inputFolder = new SharedFolder(this.#client, {
      type: 'input',
      configured: settings.inputDir,
      connection,
    });
    this.#outputFolder = new SharedFolder(this.#client, {
      type: 'output',
      configured: settings.outputDir,
      connection,
    });
    this.#catalogue = new NodeCatalogue({
      client: this.#client,
      settings,
      clock,
      log,
      connection,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket[Symbol.asyncDispose]();
    await this.#client[Symbol.asyncDispose]();
  }

  /**
   * Resolves when ComfyUI answers and the websocket is open; at once when it is open already and its other end alive.
   * @throws WorkerError `comfy.unreachable` or `comfy.socket_failed`, with the texts clients know.
   */
  async waitUntilReady(signal: AbortSignal): Promise<void> {
    const waiting = {
      client: this.#client,
      settings: this.#settings,
      clock: this.#clock,
      log: this.#log,
    };
    await expectProcess(waiting);
    if (await this.#socket.isAlive(signal)) return;
    await waitUntilReachable({ ...waiting, signal });
    await this.#socket.connect(signal);
  }

  /** Whether ComfyUI answers now. */
  async isReachable(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#client.probe(signal);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Stores an input file, replacing one of the same name; one that is too large to upload goes over the disk both see.
   * @throws WorkerError `comfy.request_failed` (`isTimeout` tells whether it was only slow), `comfy.protocol` or
   * `input.upload_failed`.
   */
  storeInput(image: InputToStore, signal: AbortSignal): Promise<StoredInput> {
    return storeInput(image, { client: this.#client, folder: this.#inputFolder }, signal);
  }

  /** ComfyUI's input folder as this worker sees it; undefined when it does not. */
  inputFolder(signal: AbortSignal): Promise<string | undefined> {
    return this.#inputFolder.path(signal);
  }

  /** The same for its output folder. */
  outputFolder(signal: AbortSignal): Promise<string | undefined> {
    return this.#outputFolder.path(signal);
  }

  /** Whether ComfyUI can still give out this file. */
  hasFile({ filename, subfolder, type }: ComfyFile, signal: AbortSignal): Promise<boolean> {
    return this.#client.hasFile({ filename, subfolder, type }, signal);
  }

  /**
   * Makes ComfyUI forget all results, so that the next prompt runs in full. Not while a prompt runs or waits, which may
   * be counting on them.
   * @returns whether it will forget.
   * @throws WorkerError `comfy.request_failed` or `comfy.protocol`.
   */
  async clearCache(signal: AbortSignal): Promise<boolean> {
    const { running, pending } = await this.#client.queue(signal);
    if (running.length + pending.length > 0) return false;
    await this.#client.forgetResults(signal);
    return true;
  }

  /**
   * What `/object_info` says about these classes, as it was when first asked unless it is to be `fresh`; a class that is
   * left out is not installed. Undefined when ComfyUI does not tell in time: then nothing can be said about nodes.
   */
  describeNodes(
    classTypes: Iterable<string>,
    options: { readonly signal: AbortSignal; readonly fresh?: boolean },
  ): Promise<ReadonlyMap<string, JsonText> | undefined> {
    return this.#catalogue.describe(classTypes, options);
  }

  /** The names of all installed classes, for suggestions; none when ComfyUI does not tell in time. */
  nodeClassNames(signal: AbortSignal): Promise<readonly string[]> {
    return this.#catalogue.names(signal);
  }

  /**
   * The error for a workflow that was found unfit before ComfyUI saw it, in the words used for ComfyUI's own refusals.
   * `nodeErrors` has the shape of the member of that name in ComfyUI's answer, `headline` stands before them.
   */
  async rejection(
    workflow: JsonText,
    { nodeErrors, headline }: { readonly nodeErrors: JsonText; readonly headline?: string },
    signal: AbortSignal,
  ): Promise<WorkerError> {
    const nodeInfo = (classType: string) => this.#client.nodeInfo(classType, signal);
    const error = headline === undefined ? '' : `"error":${JSON.stringify(headline)},`;
    const answer = `{${error}"node_errors":${nodeErrors.text}}`;
    return new WorkerError('comfy.rejected', await rejectionText(answer, { workflow, nodeInfo }));
  }

  /** See `runPrompt`. */
  runPrompt(request: PromptRequest, options: PromptOptions): Promise<PromptOutcome> {
    const parts = {
      client: this.#client,
      socket: this.#socket,
      settings: this.#settings,
      clock: this.#clock,
    };
    return runPrompt(request, options, parts);
  }

  /** ComfyUI's version; undefined when it cannot be had, which is no reason to fail. */
  async version(signal: AbortSignal): Promise<string | undefined> {
    try {
      return await this.#client.version(signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#log.debug({ err: error }, 'ComfyUI did not tell its version');
      return undefined;
    }
  }

  /**
   * The bytes of an output, exactly as ComfyUI has them; large ones in a file in the caller's folder.
   * @throws WorkerError `comfy.request_failed` for a status of 400 or more, a broken connection, or an empty file.
   */
  fetchFile(file: ComfyFile, options: FetchFileOptions): Promise<Blob> {
    return this.#client.fetchFile(file, options);
  }
}

/** A ComfyUI server has no authentication of its own (`server.py`), and takes the `prompt_id` it is sent since 0.3.45. */
const CAPABILITIES = {
  authentication: 'none',
  ownPromptIds: true,
  sharedDisk: true,
  history: true,
  nodeProgress: true,
  previews: true,
  freeMemory: true,
} as const;
