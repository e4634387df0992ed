import { constants } from 'node:fs';
import { copyFile, link, mkdir, statfs } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { Agent, type Dispatcher } from 'undici';
import type { Config } from '../../config.ts';
import { describeError, errnoOf, isWorkerError, WorkerError } from '../../errors.ts';
import { createPublicAgent } from '../../http/public-address.ts';
import { redactUrl } from '../../http/redact.ts';
import { RETRY_POLICIES, type RetryPolicy } from '../../http/retry.ts';
import { lockFile, lockPathOf } from './file-lock.ts';
import { HostSlots } from './host-slots.ts';
import { HEAD_BYTES, problemOfHead, problemOfSafetensors } from './model-content.ts';
import { PartFile } from './part-file.ts';
import { contentKey, maybePresent, type FetchedModel, type ModelRequest } from './model-request.ts';
import { PrefixHash } from './prefix-hash.ts';
import { DiskFailure } from './receive-body.ts';
import { SharedWork } from './shared-work.ts';
import { findSource, siteSettings, type SiteSettings, type Source } from './sites.ts';
import { Transfer } from './transfer.ts';

export interface ModelProgress {
  readonly bytes: number;
  /** Undefined while the server has not told. */
  readonly total: number | undefined;
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: ModelProgress) => void) | undefined;
}

export interface FetcherSettings {
  readonly sites: SiteSettings;
  /** Connections to one host. */
  readonly connections: number;
  readonly idleTimeoutMs: number;
  readonly retryPolicy: RetryPolicy;
  /** Servers with a private address that may be connected to, as `host:port`. Undefined: all servers may. */
  readonly allowPrivate: readonly string[] | undefined;
}

/** @param trust `operator`: URLs of the manifest and of commands; `caller`: URLs of jobs, which must be public. */
export function fetcherSettings(config: Config, trust: 'operator' | 'caller'): FetcherSettings {
  return {
    sites: siteSettings(config),
    connections: config.MODEL_CONNECTIONS,
    idleTimeoutMs: config.DOWNLOAD_IDLE_TIMEOUT_S * 1000,
    retryPolicy: RETRY_POLICIES.modelDownload,
    allowPrivate: trust === 'caller' ? config.DOWNLOAD_ALLOW_PRIVATE : undefined,
  };
}

/** Downloads models. However many callers ask for the same content, it is downloaded once. */
export class ModelFetcher implements AsyncDisposable {
  readonly #settings: FetcherSettings;
  readonly #agent: Dispatcher;
  readonly #slots: HostSlots;
  readonly #work = new SharedWork<FetchedModel, ModelProgress>();
  /** Bytes that downloads under way still need, on any disk. */
  #reserved = 0;

  constructor(settings: FetcherSettings) {
    this.#settings = settings;
    const { allowPrivate } = settings;
    // With HTTP/2 all ranges would share one connection, and its limit.
    this.#agent =
      allowPrivate === undefined
        ? new Agent({ allowH2: false })
        : createPublicAgent({ allow: allowPrivate, allowH2: false });
    this.#slots = new HostSlots(settings.connections);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  /**
   * Downloads a model, unless it is here. A file of the right size counts as the model, because only complete and verified
   * files get the name; a file of another size or with another SHA-256 is replaced.
   * @throws WorkerError `model.refused`, `model.download_failed` or `model.not_stored`; the signal's reason if it is aborted.
   */
  async fetch(model: ModelRequest, options: FetchOptions): Promise<FetchedModel> {
    const fetched = await this.#work.join(
      contentKey(model),
      (signal, report) => this.#fetch(model, signal, report),
      options,
    );
    if (fetched.path === model.path) return fetched;
    await this.#copy(fetched.path, model.path);
    return { ...fetched, path: model.path };
  }

  async #fetch(
    model: ModelRequest,
    signal: AbortSignal,
    report: (progress: ModelProgress) => void,
  ): Promise<FetchedModel> {
    try {
      await mkdir(dirname(model.path), { recursive: true });
      const present = await maybePresent(model);
      if (present) return present;
      await using _lock = await lockFile(lockPathOf(model.path), signal);
      const here = await maybePresent(model); // another process may have fetched it
      return here ?? (await this.#download(model, signal, report));
    } catch (error) {
      signal.throwIfAborted();
      throw toModelError(error, model.url);
    }
  }

  async #download(
    model: ModelRequest,
    signal: AbortSignal,
    report: (progress: ModelProgress) => void,
  ): Promise<FetchedModel> {
    const { sites } = this.#settings;
    const agent = this.#agent;
    const source = await findSource(model.url, model.revision, { sites, agent, signal });
    refuseOtherDigest(source, model.sha256, source.facts.sha256);
    const key = contentKey(model);
    const mustSurvive = model.sha256 === undefined;
    await using part = await PartFile.open(model.path, { key, mustSurvive });
    const resumed = part.present.bytes;
    const digest = await this.#transfer(model, { source, part, key, signal, report });
    const { bytes } = part.present;
    const filename = basename(model.path);
    const expected = model.sha256 ?? source.facts.sha256;
    const about = { filename, total: bytes };
    const otherDigest =
      expected === undefined || expected === digest
        ? undefined
        : `its SHA-256 is ${digest}, not ${expected}`;
    const problem =
      otherDigest ??
      problemOfHead(await part.head(HEAD_BYTES), about) ??
      (await problemOfSafetensors((wanted) => part.head(wanted), about));
    if (problem !== undefined) {
      await part.discard();
      // A machine that went down may have lost bytes that the journal has.
      if (resumed > 0) return await this.#download(model, signal, report);
      throw refusedModel(source.url, problem);
    }
    await part.publish();
    const { revision } = source.facts;
    return { path: model.path, bytes, sha256: digest, revision, wasHere: false };
  }

  /** @returns the SHA-256 of the bytes. */
  async #transfer(
    { path, sha256, size }: ModelRequest,
    {
      source,
      part,
      key,
      signal,
      report,
    }: {
      readonly source: Source;
      readonly part: PartFile;
      readonly key: string;
      readonly signal: AbortSignal;
      readonly report: (progress: ModelProgress) => void;
    },
  ): Promise<string> {
    let hash: PrefixHash | undefined;
    const endHash = async () => {
      await hash?.[Symbol.asyncDispose]();
      hash = undefined;
    };
    const reserved = { bytes: 0 };
    const { agent, slots, settings } = {
      agent: this.#agent,
      slots: this.#slots,
      settings: this.#settings,
    };
    try {
      const transfer = new Transfer({
        ...{ agent, slots, source, part, key, signal, sha256, size },
        connections: settings.connections,
        idleTimeoutMs: settings.idleTimeoutMs,
        retryPolicy: settings.retryPolicy,
        filename: basename(path),
        hash: () => (hash ??= new PrefixHash(part.path)),
        onRestart: endHash,
        onProgress: (bytes, total) => report({ bytes, total }),
        needSpace: async (bytes) => {
          this.#reserved -= reserved.bytes;
          reserved.bytes = 0;
          await this.#refuseFullDisk(dirname(path), bytes, source.url);
          reserved.bytes = bytes;
          this.#reserved += bytes;
        },
      });
      await transfer.run();
      hash ??= new PrefixHash(part.path);
      return await hash.digest(part.present.bytes);
    } catch (error) {
      // A page or a broken file must not be resumed.
      if (isWorkerError(error, 'input.download_refused')) await part.discard();
      throw error;
    } finally {
      this.#reserved -= reserved.bytes;
      await endHash();
    }
  }

  async #refuseFullDisk(folder: string, bytes: number, url: URL): Promise<void> {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize - this.#reserved;
    if (bytes + SPARE_BYTES <= free) return;
    throw new WorkerError(
      'model.not_stored',
      `${redactUrl(url)} needs ${gigabytes(bytes)}, and the disk of ${folder} has ${gigabytes(Math.max(0, free))} left`,
    );
  }

  /** A second name for a file; a copy where the disk has no hard links, or it is another disk. */
  async #copy(from: string, to: string): Promise<void> {
    try {
      await mkdir(dirname(to), { recursive: true });
      await link(from, to).catch((error: unknown) => {
        if (errnoOf(error) === 'EEXIST') return undefined;
        return copyFile(from, to, constants.COPYFILE_FICLONE);
      });
    } catch (error) {
      throw toModelError(error, to);
    }
  }
}

/** Left free for ComfyUI's outputs. */
const SPARE_BYTES = 64 * 1024 * 1024;

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;

function refuseOtherDigest(
  { url }: Source,
  wanted: string | undefined,
  told: string | undefined,
): void {
  if (wanted === undefined || told === undefined || wanted === told) return;
  throw refusedModel(url, `the site says its SHA-256 is ${told}, and the manifest ${wanted}`);
}

function refusedModel(url: URL, why: string): WorkerError {
  return new WorkerError('model.refused', `${redactUrl(url)}: ${why}`);
}

/** Wraps errors of the network and of the disk. */
function toModelError(error: unknown, at: string): unknown {
  if (
    isWorkerError(error, 'input.download_refused') ||
    isWorkerError(error, 'input.download_failed')
  ) {
    const code =
      error.code === 'input.download_refused' ? 'model.refused' : 'model.download_failed';
    return new WorkerError(code, error.message, { cause: error });
  }
  const errno = errnoOf(error) ?? '';
  if (!(error instanceof DiskFailure) && !DISK_ERRORS.has(errno)) return error;
  const reason =
    errno === 'ENOSPC' ? 'the disk is full' : describeError((error as Error).cause ?? error);
  return new WorkerError('model.not_stored', `${redactUrl(at)} could not be stored: ${reason}`, {
    cause: error,
  });
}

const DISK_ERRORS: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EACCES',
  'EPERM',
  'EROFS',
  'EDQUOT',
  'EIO',
  'ENOTDIR',
]);
