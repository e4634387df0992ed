import type { Clock } from '../../../clock.ts';
import { describeError, WorkerError } from '../../../errors.ts';
import { Backoff, RETRY_POLICIES } from '../../../http/retry.ts';
import type { Logger } from '../../../log.ts';
import { pause } from '../../../waiting.ts';
import type { ComfySettings, SupervisorSettings } from '../../settings.ts';
import { ComfyClient } from '../../transport/client.ts';
import { ComfyHealth } from '../health.ts';
import {
  ComfyOutput,
  type FailedImport,
  type OutputEvent,
  type OutputLine,
} from './comfy-output.ts';
import { LeftOutPacks } from './left-out-packs.ts';
import { measureMemory, ProcessGroup } from './process-group.ts';
import { endStray, MARK, markOf, removePidFile, writePidFile } from './stray.ts';
import { isHeld, knock, untilDead, type SocketActivity } from './vital-signs.ts';

/** How a life of the process ended. */
interface Ending {
  readonly reason: string;
  readonly wasUp: boolean;
  readonly wasRenewed: boolean;
}

interface SupervisorOptions {
  readonly settings: SupervisorSettings;
  readonly comfy: ComfySettings;
  readonly clock: Clock;
  readonly log: Logger;
  /** The environment of ComfyUI. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * Called when ComfyUI answers, before it counts as up. Rejects if it must not be used.
   * @returns a part of the line about the start; undefined when there was nothing to do.
   */
  readonly warmUp?: ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
}

/**
 * Starts ComfyUI, owns its process group, and starts it again when it has died.
 *
 * ```
 *   starting ── port open, /system_stats answers ──► up ── process ended, port refuses, executor died, no sign of life ─┐
 *      ▲  └──────────────── process ended, or COMFY_STARTUP_TIMEOUT_S is over ────────────────────────────────► down ◄──┘
 *      └── the group is ended, and the delay is over (the window, after too many restarts) ───────────────────────┘
 * ```
 *
 * Disposing ends the group in any state.
 */
export class ComfySupervisor implements AsyncDisposable {
  readonly health: ComfyHealth;
  readonly #options: SupervisorOptions;
  readonly #client: ComfyClient;
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;
  readonly #leftOut = new LeftOutPacks();
  #processId: number | undefined;
  /** Whether the process ends because of {@link renew}. */
  #isRenewed = false;
  #output: ComfyOutput | undefined;
  #processUsedAt: number | undefined;
  #restart = Promise.withResolvers<string>();
  #activity: () => SocketActivity = () => ({
    lastMessageAt: undefined,
    isBusy: false,
    isConnected: false,
    lookNow: () => undefined,
  });

  private constructor(options: SupervisorOptions) {
    const { comfy, clock, log } = options;
    this.#options = options;
    this.health = new ComfyHealth({ clock, log, downTimeoutMs: comfy.downTimeoutMs });
    this.#client = new ComfyClient(comfy, clock);
    this.health.starting();
    this.#done = this.#keepRunning();
  }

  /**
   * Starts ComfyUI, and returns before it answers.
   * @throws WorkerError `worker.unfit` when its port is taken.
   */
  static async start(options: SupervisorOptions): Promise<ComfySupervisor> {
    const { url, pidFile } = options.comfy;
    await endStray(pidFile, options);
    if ((await knock(url)) === 'open') {
      throw new WorkerError(
        'worker.unfit',
        `COMFY_COMMAND is set, but another program holds the port of COMFY_URL (${new URL(url).host}). ` +
          'End it, choose another port, or unset COMFY_COMMAND to use it as an external ComfyUI.',
      );
    }
    return new ComfySupervisor(options);
  }

  /** Node packs that the running ComfyUI could not load, or has to do without. */
  get failedImports(): readonly FailedImport[] {
    return [...this.#leftOut.all, ...(this.#output?.failedImports ?? [])];
  }

  /** The last lines of output of the running or the last ComfyUI. */
  get lines(): readonly OutputLine[] {
    return this.#output?.lines ?? [];
  }

  /** Ends a ComfyUI that is up and starts it again, as if it had died. */
  restart(reason: string): void {
    if (this.health.status !== 'up') return;
    this.health.down(reason);
    this.#restart.resolve(reason);
  }

  /** Restarts a ComfyUI that runs no prompt. This is no death: it is neither counted nor delayed. */
  renew(reason: string): void {
    if (this.health.status !== 'up') return;
    this.#isRenewed = true;
    this.#options.log.info({ reason }, 'ComfyUI is restarted between jobs');
    this.health.starting();
    this.#restart.resolve(reason);
  }

  /** Memory that ComfyUI's processes hold; undefined when it is not known. */
  async memoryBytes(): Promise<number | undefined> {
    return this.#processId === undefined ? undefined : await measureMemory(this.#processId);
  }

  /** When, by the clock, ComfyUI last used a processor or a disk; undefined when that cannot be measured. */
  get processUsedAt(): number | undefined {
    return this.#processUsedAt;
  }

  /** The owner of the websocket tells about its activity. */
  watchSocket(activity: () => SocketActivity): void {
    this.#activity = activity;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#done;
    await this.#client[Symbol.asyncDispose]();
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Starts ComfyUI again and again, with a delay that grows, until the supervisor is disposed. */
  async #keepRunning(): Promise<void> {
    const { clock, log, settings } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(RETRY_POLICIES.comfyRestart);
    let deaths: number[] = [];
    for (;;) {
      this.health.starting();
      this.#isRenewed = false;
      const startedAt = clock.now();
      const { reason, wasUp, wasRenewed } = await this.#runOnce(startedAt);
      if (this.#isStopping) return;
      if (wasRenewed) continue;
      const lastLines = this.#output?.lastTexts ?? [];
      this.#leftOut.onOutput(lastLines);
      const traceback = this.#output?.openTraceback ?? [];
      const leftOut = wasUp ? undefined : this.#leftOut.onCrash(traceback);
      if (leftOut) {
        log.error({ pack: leftOut.name, error: leftOut.error }, PACK_IS_LEFT_OUT);
        deaths = [];
      }
      const now = clock.now();
      deaths = [...deaths.filter((at) => at > now - settings.restartWindowMs), now];
      if (now - startedAt > RETRY_POLICIES.comfyRestart.maxMs) backoff.reset();
      const isTooOften = deaths.length > settings.maxRestarts;
      const restMs = (deaths[0] ?? now) + settings.restartWindowMs - now;
      const delayMs = isTooOften ? Math.max(restMs, backoff.next()) : backoff.next();
      log.warn(
        { reason, delayMs: Math.round(delayMs), restarts: deaths.length, lastLines },
        isTooOften ? DIED_TOO_OFTEN : 'ComfyUI is restarted',
      );
      if (!(await pause(delayMs, { clock, signal }))) return;
    }
  }

  /** One life of the process. Resolves to the reason of its end, when its whole group is gone. */
  async #runOnce(startedAt: number): Promise<Ending> {
    const { settings, comfy, clock, log, environment } = this.#options;
    if (await isHeld(comfy.url, { clock, signal: this.#stopping.signal })) {
      this.#output = undefined;
      this.health.down(PORT_IS_HELD);
      return { reason: PORT_IS_HELD, wasUp: false, wasRenewed: false };
    }
    const ended = new AbortController();
    const stop = () => ended.abort(new Error('the worker ends'));
    this.#stopping.signal.addEventListener('abort', stop, { once: true });
    const executorDied = Promise.withResolvers<string>();
    this.#restart = Promise.withResolvers();
    const output = this.#readOutput(startedAt, executorDied.resolve);
    const group = new ProcessGroup({
      command: [...settings.command, ...(await this.#leftOut.argumentsFor(settings.command))],
      environment: { ...environment, PYTHONUNBUFFERED: '1', [MARK]: await markOf(comfy.pidFile) },
      clock,
      onLine: (line) => output.add(line),
    });
    const { pid } = group;
    this.#processId = pid;
    let reason: string;
    try {
      if (pid !== undefined) await writePidFile(comfy.pidFile, pid, log);
      reason = await Promise.race([
        group.ended,
        executorDied.promise,
        this.#restart.promise,
        this.#watch(pid ?? 0, { startedAt, signal: ended.signal }),
      ]);
    } catch (error) {
      reason = describeError(error);
    }
    const isExpected = this.#isStopping || this.#isRenewed;
    const wasUp = this.health.status === 'up' || this.#isRenewed;
    if (!isExpected) this.health.down(reason);
    ended.abort();
    this.#stopping.signal.removeEventListener('abort', stop);
    // A ComfyUI that is stuck does not react to SIGTERM, and jobs wait for the next one.
    await group.end(isExpected ? settings.endGraceMs : 0);
    this.#processId = undefined;
    if (pid !== undefined) await removePidFile(comfy.pidFile, pid);
    return { reason, wasUp, wasRenewed: this.#isRenewed };
  }

  /** Waits until ComfyUI is up, and then until it is dead although its process runs. @returns why it counts as dead. */
  async #watch(
    processId: number,
    { startedAt, signal }: { readonly startedAt: number; readonly signal: AbortSignal },
  ): Promise<string> {
    const { comfy, clock, log, settings } = this.#options;
    const { url, availability } = comfy;
    let openAt = 0;
    for (;;) {
      if ((await knock(url)) === 'open') {
        openAt ||= clock.now();
        const isAnswering = await this.#client.getInfo('/system_stats', signal).then(
          () => true,
          () => false,
        );
        if (isAnswering) break;
      }
      if (clock.now() - startedAt > availability.startupTimeoutMs)
        return 'it did not answer within COMFY_STARTUP_TIMEOUT_S';
      await clock.sleep(availability.intervalMs, signal);
    }
    signal.throwIfAborted();
    const warmUp = await this.#options.warmUp?.(signal);
    const readyMs = clock.now() - startedAt;
    const openMs = openAt - startedAt;
    const phases = [this.#output?.bootPhases, `port open after ${seconds(openMs)}`, warmUp];
    log.info(
      { failedImports: this.failedImports.map(({ name, error }) => `${name}: ${error}`) },
      `cold start: ${phases.filter(Boolean).join(', ')}, ready after ${seconds(readyMs)}`,
    );
    this.health.up();
    return untilDead({
      client: this.#client,
      activity: () => this.#activity(),
      onUse: (at) => (this.#processUsedAt = at),
      unresponsiveMs: settings.unresponsiveMs,
      ...{ url, processId, clock, signal },
    });
  }

  /** Forwards the output to the log. `die` is called with the reason when the output says that the executor has died. */
  #readOutput(startedAt: number, die: (reason: string) => void): ComfyOutput {
    const { settings, clock, log } = this.#options;
    const onEvent = (event: OutputEvent) => {
      switch (event.type) {
        case 'executor died':
          die(`its executor died (${event.text})`);
          break;
        case 'first prompt':
          log.info({ seconds: event.seconds }, 'First prompt after the start of ComfyUI');
          break;
      }
    };
    const onLine = ({ text }: OutputLine) => {
      if (settings.logLevel !== 'silent' && text !== '')
        log[settings.logLevel]({ source: 'comfyui' }, text);
    };
    const now = () => clock.now();
    return (this.#output = new ComfyOutput({ startedAt, now, onLine, onEvent }));
  }
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const PORT_IS_HELD = 'another program holds the port of COMFY_URL';
const DIED_TOO_OFTEN =
  'ComfyUI died more than COMFY_MAX_RESTARTS times in COMFY_RESTART_WINDOW_S; it is restarted after a rest';
const PACK_IS_LEFT_OUT =
  'A node pack ended ComfyUI twice at its start; ComfyUI is started without it';
