import { systemClock, type Clock } from '../../clock.ts';
import { isError, isReplayed, isWorkerError, WorkerError } from '../../errors.ts';
import type { FileContent } from '../../file-content.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type {
  BackendCapabilities,
  ComfyBackend,
  ComfyFile,
  FetchFileOptions,
  InputToStore,
  PromptFailure,
  PromptOptions,
  PromptOutcome,
  PromptRequest,
  StoredInput,
} from '../backend.ts';
import type { DeviceError } from '../nodes/device-errors.ts';
import { NodeCatalogue } from '../nodes/node-catalogue.ts';
import { rejectionText } from '../nodes/rejection.ts';
import { LingeringPrompts } from '../prompt/cancel-prompt.ts';
import type { PromptStanding } from '../prompt/prompt-watch.ts';
import { runPrompt } from '../prompt/run-prompt.ts';
import { ComfyClient } from '../transport/client.ts';
import { isTimeout } from '../transport/request-failure.ts';
import { ComfySocket } from '../transport/socket.ts';
import { cureDevice } from './cure-device.ts';
import { diagnose, readVersion } from './diagnosis.ts';
import { ExternalWatch } from './external-watch.ts';
import { ComfyHealth } from './health.ts';
import { MortalPrompts } from './mortal-prompts.ts';
import { expectProcess, unreachable, waitUntilReachable } from './readiness.ts';
import type { ComfySettings } from '../settings.ts';
import { SharedFolder } from './shared-folder.ts';
import { storeInput } from './store-input.ts';
import { withFailedImports } from './supervisor/failed-imports.ts';
import type { ComfySupervisor } from './supervisor/supervisor.ts';
import { knock } from './supervisor/vital-signs.ts';

interface LocalComfyOptions {
  readonly log: Logger;
  readonly clock?: Clock;
  /** Starts this ComfyUI; without one, somebody else does. */
  readonly supervisor?: ComfySupervisor | undefined;
  /** For a ComfyUI that somebody else starts: called before it counts as up. Rejects if it must not be used. */
  readonly warmUp?: ((signal: AbortSignal) => Promise<unknown>) | undefined;
}

/** A ComfyUI server of our own. Its HTTP connections and its one websocket are kept for the life of the worker. */
export class LocalComfy implements ComfyBackend {
  readonly capabilities: BackendCapabilities;
  readonly health: ComfyHealth;
  readonly #settings: ComfySettings;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #client: ComfyClient;
  readonly #inputFolder: SharedFolder;
  readonly #outputFolder: SharedFolder;
  readonly #socket: ComfySocket;
  readonly #catalogue: NodeCatalogue;
  readonly #supervisor: ComfySupervisor | undefined;
  readonly #prompts: MortalPrompts;
  /** Undefined with a supervisor. */
  readonly #watch: ExternalWatch | undefined;
  readonly #lingering: LingeringPrompts;

  constructor(
    settings: ComfySettings,
    { log, clock = systemClock, supervisor, warmUp }: LocalComfyOptions,
  ) {
    const client = new ComfyClient(settings, clock);
    const onIdleLoss = () => void this.#watch?.look();
    const socket = new ComfySocket({ client, settings, clock, log, onIdleLoss });
    this.capabilities = { ...LOCAL_CAPABILITIES, pathPrefix: client.pathPrefix };
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
    this.#client = client;
    this.#socket = socket;
    const { inputDir, outputDir, downTimeoutMs } = settings;
    this.#inputFolder = new SharedFolder(client, { type: 'input', configured: inputDir, socket });
    const output = { type: 'output', configured: outputDir, socket } as const;
    this.#outputFolder = new SharedFolder(client, output);
    this.#catalogue = new NodeCatalogue({ client, settings, clock, log, socket });
    this.health = supervisor?.health ?? new ComfyHealth({ clock, log, downTimeoutMs });
    this.#prompts = new MortalPrompts(this.health);
    this.#supervisor = supervisor;
    const parts = { client, settings, clock, log };
    const restart = supervisor && ((reason: string) => supervisor.restart(reason));
    this.#lingering = new LingeringPrompts(parts, restart);
    supervisor?.watchSocket(() => socket);
    if (!supervisor)
      this.#watch = new ExternalWatch({ ...parts, socket, health: this.health, warmUp });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.[Symbol.asyncDispose]();
    await this.#lingering[Symbol.asyncDispose]();
    await this.#socket[Symbol.asyncDispose]();
    await this.#client[Symbol.asyncDispose]();
  }

  async waitUntilReady(signal: AbortSignal): Promise<void> {
    await this.#lingering.untilGone(signal);
    if (this.#supervisor) {
      const isUp = await this.health.untilUp(signal);
      if (!isUp) throw unreachable({ settings: this.#settings, log: this.#log }, {});
      if (!(await this.#socket.isAlive(signal))) await this.#socket.connect(signal);
      return;
    }
    for (;;) {
      try {
        await this.#waitUntilReachable(signal);
        return;
      } catch (error) {
        if (!isWorkerError(error, 'comfy.unreachable')) throw error;
        await this.#watch?.onFailure(error);
        if (!(await this.health.untilUp(signal))) throw error;
      }
    }
  }

  async #waitUntilReachable(signal: AbortSignal): Promise<void> {
    const parts = { settings: this.#settings, clock: this.#clock, log: this.#log };
    await expectProcess(parts);
    if (await this.#socket.isAlive(signal)) return;
    await waitUntilReachable({ ...parts, client: this.#client, signal });
    await this.#socket.connect(signal);
  }

  async isReachable(signal: AbortSignal): Promise<boolean> {
    return await this.#client.probe(signal).then(
      () => true,
      () => false,
    );
  }

  version(signal: AbortSignal): Promise<string | undefined> {
    return readVersion(this.#client, this.#log, signal);
  }

  storeInput(file: InputToStore, signal: AbortSignal): Promise<StoredInput> {
    const { uploadBytes } = this.#settings.limits;
    return storeInput(
      file,
      { client: this.#client, inputFolder: this.#inputFolder, uploadBytes },
      signal,
    );
  }

  inputFolder(signal: AbortSignal): Promise<string | undefined> {
    return this.#inputFolder.path(signal);
  }

  outputFolder(signal: AbortSignal): Promise<string | undefined> {
    return this.#outputFolder.path(signal);
  }

  async modelFolders(signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>> {
    const folders = await this.#client.getInfo('/internal/folder_paths', signal);
    return new Map(
      folders
        .entries()
        .map(([name, paths]) => [name, paths.items().flatMap((path) => path.asString() ?? [])]),
    );
  }

  hasFile(file: ComfyFile, signal: AbortSignal): Promise<boolean> {
    return this.#client.hasFile(file, signal);
  }

  /**
   * A file that fits into memory is read from the shared disk if there is one. Other files are read there only when ComfyUI
   * does not answer: it may have died since it wrote them.
   */
  async fetchFile(file: ComfyFile, options: FetchFileOptions): Promise<FileContent> {
    const read = await this.#outputFolder.maybeRead(file, options.memoryBytes);
    options.signal.throwIfAborted();
    if (read) return read;
    try {
      return await this.#client.fetchFile(file, options);
    } catch (error) {
      options.signal.throwIfAborted();
      const isUnanswered = isError(error) && error.cause !== undefined;
      const found = isUnanswered ? await this.#outputFolder.maybeOpen(file) : undefined;
      if (!found) throw error;
      return found;
    }
  }

  describeNodes(
    classTypes: Iterable<string>,
    options: { readonly signal: AbortSignal; readonly fresh?: boolean },
  ): Promise<ReadonlyMap<string, JsonText> | undefined> {
    return this.#catalogue.describe(classTypes, options);
  }

  nodeClassNames(signal: AbortSignal): Promise<readonly string[]> {
    return this.#catalogue.names(signal);
  }

  replacedClassNames(signal: AbortSignal): Promise<ReadonlySet<string>> {
    return this.#catalogue.replacedNames(signal);
  }

  async rejection(
    workflow: JsonText,
    { nodeErrors, headline }: { readonly nodeErrors: JsonText; readonly headline?: string },
    signal: AbortSignal,
  ): Promise<WorkerError> {
    const nodeInfo = (classType: string) => this.#client.nodeInfo(classType, signal);
    // In the form of ComfyUI's own answer, so that one place words both.
    const error = headline === undefined ? '' : `"error":${JSON.stringify(headline)},`;
    const answer = `{${error}"node_errors":${nodeErrors.text}}`;
    const text = await rejectionText(answer, { workflow, nodeInfo });
    return this.#explain(new WorkerError('comfy.rejected', text));
  }

  async runPrompt(request: PromptRequest, options: PromptOptions): Promise<PromptOutcome> {
    using prompt = this.#prompts.begin(options);
    const { clientId } = this.#socket;
    let standing: PromptStanding | undefined;
    try {
      return await runPrompt(request, prompt, {
        client: this.#client,
        socket: this.#socket,
        settings: this.#settings,
        clock: this.#clock,
        lingering: this.#lingering,
        processUsedAt: () => this.#supervisor?.processUsedAt,
        onStopped: (stopped) => (standing = stopped),
      });
    } catch (error) {
      options.signal.throwIfAborted();
      // The prompt is gone together with the connection: ComfyUI was restarted unnoticed. A supervisor notices it.
      const isUnnoticed = !this.#supervisor && this.#socket.clientId !== clientId;
      if (isUnnoticed && isWorkerError(error, 'comfy.prompt_lost')) this.health.restarted();
      await this.checkHealth(error, options.signal);
      // Clients match on the texts of failed connections, so those of an external ComfyUI stay.
      const { reason } = prompt.signal as { readonly reason: unknown };
      const isKnown = this.#supervisor !== undefined || isWorkerError(reason, 'comfy.not_begun');
      throw prompt.signal.aborted && isKnown ? reason : await this.#explain(error);
    } finally {
      // Nobody reads the report on a job that was stopped.
      const isStopped = isWorkerError(options.signal.reason, 'job.stopped');
      if (standing && !isStopped) options.onFailed?.(await this.#diagnose(standing, request));
    }
  }

  #diagnose(standing: PromptStanding, request: PromptRequest): Promise<PromptFailure> {
    return diagnose(standing, request, {
      client: this.#client,
      settings: this.#settings,
      clock: this.#clock,
      supervisor: this.#supervisor,
      isUp: this.health.status === 'up',
    });
  }

  /** A request may find ComfyUI dead before the supervisor or the watch does. If frozen, it still accepts connections. */
  async checkHealth(error: unknown, signal: AbortSignal): Promise<void> {
    if (this.health.status !== 'up' || !isWorkerError(error) || !isReplayed(error.code)) return;
    await this.#watch?.onFailure(error);
    const { url, unresponsiveMs, downTimeoutMs, limits } = this.#settings;
    if (isTimeout(error) && downTimeoutMs !== undefined) {
      const ms = unresponsiveMs + limits.lossNoticeMs;
      await this.health.untilVerdict(() => this.isReachable(signal), { ms, signal });
    } else if (this.#supervisor) {
      const isOpen = async () => (await knock(url)) === 'open';
      await this.health.untilVerdict(isOpen, { ms: limits.lossNoticeMs, signal });
    }
  }

  #explain<E>(error: E): Promise<E | WorkerError> {
    return withFailedImports(error, this.#supervisor?.failedImports ?? []);
  }

  async clearCache(signal: AbortSignal): Promise<boolean> {
    const { running, pending } = await this.#client.queue(signal);
    if (running.length + pending.length > 0) return false;
    await this.#client.freeMemory(signal);
    return true;
  }

  cure(error: DeviceError, signal: AbortSignal): Promise<boolean> {
    const parts = { client: this.#client, supervisor: this.#supervisor, log: this.#log };
    return cureDevice(error, parts, signal);
  }
}

/** A ComfyUI server has no authentication (`server.py`). It accepts a `prompt_id` from the client since 0.3.45. */
export const LOCAL_CAPABILITIES = {
  authentication: 'none',
  ownPromptIds: true,
  sharedDisk: true,
  history: true,
  nodeProgress: true,
  previews: true,
  freeMemory: true,
} as const;
