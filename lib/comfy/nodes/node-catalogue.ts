import pLimit from 'p-limit';
import type { Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { ComfySettings } from '../local/settings.ts';
import { within } from '../transport/within.ts';

interface CatalogueParts {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Changes when ComfyUI may be another one: its client id for the websocket. */
  readonly connection: () => string | undefined;
}

/**
 * What `/object_info` says, class by class, kept for as long as the connection to ComfyUI lasts. The whole of it can have
 * tens of megabytes and holds ComfyUI up for seconds while it is made; a workflow needs a dozen of its thousand classes.
 */
export class NodeCatalogue {
  readonly #parts: CatalogueParts;
  readonly #known = new Map<string, JsonText>();
  #connection: string | undefined;

  constructor(parts: CatalogueParts) {
    this.#parts = parts;
  }

  /**
   * Descriptions by class; a class without one is not installed. Undefined when ComfyUI did not tell within
   * `limits.catalogueMs`.
   */
  async describe(
    classTypes: Iterable<string>,
    { signal, fresh = false }: { readonly signal: AbortSignal; readonly fresh?: boolean },
  ): Promise<ReadonlyMap<string, JsonText> | undefined> {
    this.#forgetOld();
    const wanted = [...new Set(classTypes)];
    const asked = fresh ? wanted : wanted.filter((classType) => !this.#known.has(classType));
    const hasAnswered = await this.#patiently(signal, (inTime) => this.#ask(asked, inTime));
    return hasAnswered ? this.#pick(wanted) : undefined;
  }

  /** The names of all classes; none when ComfyUI did not tell in time. Slow: only for saying what somebody may have meant. */
  async names(signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#patiently(signal, (inTime) => this.#parts.client.classNames(inTime))) ?? [];
  }

  async #ask(classTypes: readonly string[], signal: AbortSignal): Promise<true> {
    const limit = pLimit(REQUESTS);
    await Promise.all(classTypes.map((classType) => limit(() => this.#askFor(classType, signal))));
    return true;
  }

  /** What is not installed is asked for again the next time: it may have been installed by then. */
  async #askFor(classType: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const info = await this.#parts.client.nodeInfo(classType, signal);
    if (info) this.#known.set(classType, info);
    else this.#known.delete(classType);
  }

  #pick(classTypes: readonly string[]): ReadonlyMap<string, JsonText> {
    return new Map(
      classTypes.flatMap((classType) => {
        const info = this.#known.get(classType);
        return info ? [[classType, info] as const] : [];
      }),
    );
  }

  #forgetOld(): void {
    const connection = this.#parts.connection();
    if (connection !== this.#connection) this.#known.clear();
    this.#connection = connection;
  }

  async #patiently<T>(
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const { settings, clock, log } = this.#parts;
    const bound = { ms: settings.limits.catalogueMs, what: '[GET] /object_info', clock, signal };
    try {
      return await within(bound, work);
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ reason: describeError(error) }, 'ComfyUI does not tell about its nodes');
      return undefined;
    }
  }
}

/** ComfyUI looks through its model folders for every answer, on the thread that also sends progress. */
const REQUESTS = 4;
