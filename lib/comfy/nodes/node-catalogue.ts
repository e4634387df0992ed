import pLimit from 'p-limit';
import type { Clock } from '../../clock.ts';
import { describeError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from '../transport/client.ts';
import { withTimeout } from '../transport/request-failure.ts';

interface CatalogueParts {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The id changes with the connection: behind a new one there may be another ComfyUI with other nodes. */
  readonly socket: { readonly clientId: string | undefined };
}

/**
 * Node descriptions of `/object_info`, cached while the connection to ComfyUI lasts. They are fetched class by class: the
 * whole of it can have tens of megabytes and blocks ComfyUI for seconds, and a workflow needs a dozen of a thousand
 * classes.
 */
export class NodeCatalogue {
  readonly #parts: CatalogueParts;
  readonly #cache = new Map<string, JsonText>();
  #clientId: string | undefined;

  constructor(parts: CatalogueParts) {
    this.#parts = parts;
  }

  /**
   * Descriptions by class. A class that is not installed has none, and is asked for again the next time, because it may
   * be installed by then. Undefined when ComfyUI does not answer within `limits.catalogueMs`, or answers with something
   * that describes no node.
   */
  async describe(
    classTypes: Iterable<string>,
    { signal, fresh = false }: { readonly signal: AbortSignal; readonly fresh?: boolean },
  ): Promise<ReadonlyMap<string, JsonText> | undefined> {
    const { client, socket } = this.#parts;
    if (socket.clientId !== this.#clientId) this.#cache.clear();
    this.#clientId = socket.clientId;
    const wanted = [...new Set(classTypes)];
    const missing = fresh ? wanted : wanted.filter((classType) => !this.#cache.has(classType));
    const limit = pLimit(MAX_REQUESTS);
    const fetched = await this.#inTime(signal, (inTime) =>
      Promise.all(
        missing.map((classType) =>
          limit(async () => {
            inTime.throwIfAborted();
            const info = await client.nodeInfo(classType, inTime);
            if (info) refuseOther(info, classType);
            if (info) this.#cache.set(classType, info);
            else this.#cache.delete(classType);
          }),
        ),
      ),
    );
    if (fetched === undefined) return undefined;
    return new Map(
      wanted.flatMap((classType) => {
        const info = this.#cache.get(classType);
        return info ? [[classType, info] as const] : [];
      }),
    );
  }

  /** Names of all classes; empty when ComfyUI does not answer in time. Slow: only for suggestions in error messages. */
  async names(signal: AbortSignal): Promise<readonly string[]> {
    const { client } = this.#parts;
    return (await this.#inTime(signal, (inTime) => client.nodeClassNames(inTime))) ?? [];
  }

  /** Names of classes that ComfyUI replaces by newer ones; none when it does not tell. */
  async replacedNames(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { client, log } = this.#parts;
    try {
      const replacements = await client.getInfo('/node_replacements', signal);
      return new Set(replacements.entries().map(([classType]) => classType));
    } catch (error) {
      signal.throwIfAborted();
      log.debug({ err: error }, 'ComfyUI does not tell which classes it replaces');
      return new Set();
    }
  }

  /** Undefined when the work fails or takes too long. */
  async #inTime<T>(
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const { settings, clock, log } = this.#parts;
    const limit = { ms: settings.limits.catalogueMs, what: '[GET] /object_info', clock, signal };
    try {
      return await withTimeout(limit, work);
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ reason: describeError(error) }, 'Could not read the nodes of ComfyUI');
      return undefined;
    }
  }
}

/** ComfyUI scans its model folders for each answer, on the thread that also sends progress. */
const MAX_REQUESTS = 4;

/**
 * A class whose inputs cannot be read must not be taken for one without inputs: its values would be left out.
 * @throws WorkerError `comfy.protocol`
 */
function refuseOther(info: JsonText, classType: string): void {
  const inputs = info.get('input');
  const groups = [inputs?.get('required'), inputs?.get('optional')];
  const isDescription =
    inputs?.kind === 'object' &&
    (info.get('output')?.kind ?? 'array') === 'array' &&
    groups.every((group) => group === undefined || isInputGroup(group));
  if (isDescription) return;
  throw new WorkerError(
    'comfy.protocol',
    `[GET] /object_info does not describe ${JSON.stringify(classType)}: ${info.text.slice(0, 60)}`,
  );
}

/** Inputs are declared as `[type, options]`; the type is a name, or a list of choices. */
function isInputGroup(group: JsonText): boolean {
  const types = group.entries().map(([, declaration]) => declaration.items()[0]?.kind);
  return group.kind === 'object' && types.every((kind) => kind === 'string' || kind === 'array');
}
