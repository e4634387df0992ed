import { systemClock, type Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { ComfyClient, type ComfyFile, type InputImage, type StoredImage } from './client.ts';
import { expectProcess, waitUntilReachable } from './readiness.ts';
import {
  runPrompt,
  type PromptOptions,
  type PromptOutcome,
  type PromptRequest,
} from './run-prompt.ts';
import type { ComfySettings } from './settings.ts';
import { ComfySocket } from './socket.ts';

export type { ComfyFile, InputImage, StoredImage } from './client.ts';
export type { PromptOptions, PromptOutcome, PromptRequest } from './run-prompt.ts';

/** A ComfyUI: its HTTP connections and its one websocket, kept for the life of the worker. */
export class Comfy implements AsyncDisposable {
  readonly #settings: ComfySettings;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #client: ComfyClient;
  readonly #socket: ComfySocket;

  constructor(
    settings: ComfySettings,
    { log, clock = systemClock }: { readonly log: Logger; readonly clock?: Clock },
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
    this.#client = new ComfyClient(settings, clock);
    this.#socket = new ComfySocket({ client: this.#client, settings, clock, log });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket[Symbol.asyncDispose]();
    await this.#client[Symbol.asyncDispose]();
  }

  /**
   * Resolves when ComfyUI answers and the websocket is open; at once when it is open already and its other end alive.
   * @throws WorkerError `comfy.unreachable` or `comfy.socket_failed`, with the texts clients know.
   */
  async ready(signal: AbortSignal): Promise<void> {
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

  /**
   * Stores an input image, replacing one of the same name. Use the name it returns.
   * @throws WorkerError `comfy.request_failed` (`isTimeout` tells whether it was only slow) or `comfy.protocol`.
   */
  uploadImage(image: InputImage, signal: AbortSignal): Promise<StoredImage> {
    return this.#client.uploadImage(image, signal);
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

  /**
   * The bytes of an output, exactly as ComfyUI has them.
   * @throws WorkerError `comfy.request_failed` for a status of 400 or more, a broken connection, or an empty file.
   */
  fetchFile(file: ComfyFile, signal: AbortSignal): Promise<Uint8Array> {
    return this.#client.fetchFile(file, signal);
  }
}
