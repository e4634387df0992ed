import { systemClock } from '../../clock.ts';
import { failed, refused } from '../../download/download-error.ts';
import { discard, openHttp, type FilePart, type SiteRules } from '../../download/open-http.ts';
import { isWorkerError } from '../../errors.ts';
import { retry, type RetryPolicy } from '../../http/retry.ts';
import type { Dispatcher } from 'undici';
import type { HostSlots } from './host-slots.ts';
import { HEAD_BYTES, problemOfHead } from './model-content.ts';
import type { PartFile, Version } from './part-file.ts';
import type { PrefixHash } from './prefix-hash.ts';
import type { ByteRange } from './range-set.ts';
import { FIRST_BYTES, splitIntoPieces, type Piece } from './pieces.ts';
import { DiskFailure, LEAST_BYTES, receiveBody } from './receive-body.ts';
import type { Source } from './sites.ts';

/** Limits of downloads. */
interface TransferSettings {
  readonly agent: Dispatcher;
  readonly slots: HostSlots;
  /** Connections for one file. */
  readonly connections: number;
  /** Silence in milliseconds after which a connection is given up; also the time in which it has to bring {@link LEAST_BYTES}. */
  readonly idleTimeoutMs: number;
  readonly retryPolicy: RetryPolicy;
}

export interface TransferOptions extends TransferSettings {
  readonly source: Source;
  readonly part: PartFile;
  /** Names the content in the part file. */
  readonly key: string;
  readonly hash: () => PrefixHash;
  /** Called when the bytes so far are dropped, because the file has changed on the server. */
  readonly onRestart: () => Promise<void>;
  readonly filename: string;
  readonly sha256: string | undefined;
  readonly size: number | undefined;
  readonly onProgress: (bytes: number, total: number | undefined) => void;
  /** Throws if the disk has not so many bytes left. */
  readonly needSpace: (bytes: number) => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Downloads all bytes that a part file lacks. The first connection learns which version of the file the server has, and
 * whether it sends parts of it; then the others join, each with one range after the other. A server that sends no parts, or
 * nothing that tells versions apart, gets one connection for the whole file.
 *
 * @throws WorkerError `input.download_refused` or `input.download_failed`; the signal's reason if it is aborted.
 */
export class Transfer {
  readonly #options: TransferOptions;
  #total: number | undefined;

  constructor(options: TransferOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    for (let changes = 0; ; changes++) {
      try {
        await this.#fetchAll();
        return;
      } catch (error) {
        if (!(error instanceof ContentChanged)) throw error;
        if (changes === MOST_CHANGES)
          throw refused(this.#options.source.url, 'the file keeps changing on the server');
        await this.#restart();
      }
    }
  }

  async #restart(): Promise<void> {
    await this.#options.part.reset();
    await this.#options.onRestart();
  }

  async #fetchAll(): Promise<void> {
    const { part, connections, signal } = this.#options;
    if (part.version && part.present.gaps(part.version.total).length === 0) return;
    const first = await this.#retrying(() => this.#contact());
    if (first === 'complete') return;
    const { version, opened } = first;
    this.#total = version.total;
    const failure = new AbortController();
    const together = AbortSignal.any([signal, failure.signal]);
    const pieces = splitIntoPieces(part.present.gaps(version.total), version.total, connections);
    const workers = Math.min(connections, pieces.length);
    const work = async (opened: Opened | undefined) => {
      let ready = opened;
      try {
        for (let piece = pieces.shift(); piece; piece = pieces.shift()) {
          await this.#fetchPiece(piece, { version, opened: ready, signal: together });
          ready = undefined;
        }
      } catch (error) {
        failure.abort(error); // the reason is the first error
      }
    };
    // The first one takes the first piece, to which its answer belongs.
    await Promise.all(
      Array.from({ length: workers }, (_, at) => work(at === 0 ? opened : undefined)),
    );
    signal.throwIfAborted();
    failure.signal.throwIfAborted();
  }

  /** The first connection. Its answer begins with the first byte that is missing. */
  async #contact(): Promise<'complete' | { readonly version: Version; readonly opened: Opened }> {
    const { source, part, key, sha256, size, slots, needSpace, signal } = this.#options;
    const known = part.version;
    const [gap] = known ? part.present.gaps(known.total) : [{ start: 0, end: FIRST_BYTES }];
    const range = gap ?? { start: 0, end: FIRST_BYTES };
    const end = known ? Math.min(range.end, range.start + FIRST_BYTES) : range.end;
    const slot = await slots.acquire(source.url.host, signal);
    let isHandedOver = false;
    try {
      let answer = await this.#open({ start: range.start, end }, known?.etag);
      const { etag, total, offset, isPartial } = answer;
      const isSame = known && etag === known.etag && total === known.total;
      if (isPartial && known && !(isSame && offset === range.start)) {
        discard(answer.body);
        throw new ContentChanged();
      }
      this.#refuseOtherSize(total, size ?? source.facts.size);
      const canVerify = etag !== undefined || (sha256 ?? source.facts.sha256) !== undefined;
      if (isPartial && total !== undefined && canVerify) {
        if (!known) {
          await needSpace(total);
          await part.begin({ total, etag }, key);
        }
        isHandedOver = true;
        return { version: { total, etag }, opened: { answer, slot } };
      }
      if (isPartial) {
        discard(answer.body);
        answer = await this.#open(undefined, undefined);
      }
      await this.#receiveWhole(answer);
      return 'complete';
    } finally {
      if (!isHandedOver) slot[Symbol.dispose]();
    }
  }

  #refuseOtherSize(total: number | undefined, size: number | undefined): void {
    if (total === undefined || size === undefined || total === size) return;
    throw refused(
      this.#options.source.url,
      `the file has ${total} bytes, and ${size} were promised; the manifest is of another version`,
    );
  }

  /** A file in one piece. It cannot be resumed, so a broken transfer begins anew. */
  async #receiveWhole(answer: FilePart): Promise<void> {
    const { source, part, needSpace } = this.#options;
    this.#total = answer.total;
    await this.#restart();
    if (answer.total !== undefined) await needSpace(answer.total);
    const end = answer.total ?? Infinity;
    const piece = { start: 0, end };
    await this.#receive(answer, piece, { signal: this.#options.signal, end });
    if (piece.start === 0) throw refused(source.url, 'the file is empty');
    if (answer.total !== undefined && piece.start !== answer.total)
      throw failed(source.url, `the server said ${answer.total} bytes, and sent ${piece.start}`);
    this.#total = piece.start;
    this.#refuseOtherSize(piece.start, this.#options.size ?? source.facts.size);
    await part.truncate(piece.start);
  }

  /** @param opened an answer that begins where the piece does, with its slot */
  async #fetchPiece(
    piece: Piece,
    {
      version,
      opened,
      signal,
    }: {
      readonly version: Version;
      readonly opened: Opened | undefined;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const { source, slots } = this.#options;
    let ready = opened;
    let reached = piece.start;
    const hasProgressed = () => {
      const gained = piece.start - reached;
      reached = piece.start;
      return gained >= LEAST_BYTES;
    };
    const attempt = async () => {
      using _slot = ready?.slot ?? (await slots.acquire(source.url.host, signal));
      const answer = ready?.answer ?? (await this.#open(piece, version.etag, signal));
      const end = ready ? Math.min(piece.end, piece.start + FIRST_BYTES) : piece.end;
      ready = undefined;
      const { isPartial, offset, total, etag } = answer;
      const isSame = isPartial && total === version.total && etag === version.etag;
      if (!isSame || offset !== piece.start) {
        discard(answer.body);
        throw new ContentChanged();
      }
      await this.#receive(answer, piece, { signal, end });
      if (piece.start < end) throw failed(source.url, 'the server ended the part too early');
    };
    // The first answer has only the beginning of its piece.
    while (piece.start < piece.end) await this.#retrying(attempt, signal, hasProgressed);
  }

  async #open(
    range: ByteRange | undefined,
    etag: string | undefined,
    signal = this.#options.signal,
  ) {
    const { source, agent, idleTimeoutMs, slots } = this.#options;
    const { host } = source.url;
    const rules: SiteRules = {
      ...source.rules,
      explain: (status, headers, url) => {
        if (status === 429 || status === 503) slots.halve(host);
        return source.rules.explain?.(status, headers, url);
      },
    };
    const resume = range
      ? { offset: range.start, etag, end: range.end }
      : { offset: 0, etag: undefined };
    const answer = await openHttp(source.url, resume, {
      agent,
      credentials: source.credentials,
      idleTimeoutMs,
      signal,
      rules,
    });
    if (answer.mediaType === 'text/html') {
      discard(answer.body);
      throw refused(source.url, 'it is an HTML page, such as a login page, and no model');
    }
    return answer;
  }

  async #receive(
    { body, total }: FilePart,
    piece: Piece,
    { signal, end }: { readonly signal: AbortSignal; readonly end: number },
  ): Promise<void> {
    const { source, idleTimeoutMs, filename } = this.#options;
    await receiveBody(body, piece, {
      end,
      signal,
      idleTimeoutMs,
      url: source.url,
      write: async (buffers, start) => {
        if (start === 0) this.#checkHead(Buffer.concat(buffers), filename, total);
        await this.#write(buffers, start);
      },
    });
  }

  async #write(buffers: readonly Uint8Array[], start: number): Promise<void> {
    try {
      await this.#options.part.write(buffers, start);
    } catch (error) {
      throw new DiskFailure(error);
    }
    const { part, hash, onProgress } = this.#options;
    hash().advance(part.present.prefix);
    onProgress(part.present.bytes, this.#total);
  }

  #checkHead(bytes: Buffer, filename: string, total: number | undefined): void {
    const problem = problemOfHead(bytes.subarray(0, HEAD_BYTES), { filename, total });
    if (problem !== undefined) throw refused(this.#options.source.url, problem);
  }

  #retrying<T>(
    attempt: () => Promise<T>,
    signal = this.#options.signal,
    hasProgressed: () => boolean = () => false,
  ): Promise<T> {
    return retry(attempt, {
      policy: this.#options.retryPolicy,
      clock: systemClock,
      signal,
      isTransient: (error) => isWorkerError(error, 'input.download_failed'),
      retryAfterMs: (error) => (isWorkerError(error) ? error.retryAfterMs : undefined),
      hasProgressed,
    });
  }
}

/** An answer whose body is not read yet, and its connection. */
interface Opened {
  readonly answer: FilePart;
  readonly slot: Disposable;
}

/** The server has another version of the file by now. */
class ContentChanged extends Error {}

const MOST_CHANGES = 3;
