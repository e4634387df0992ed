import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { sha256Of, sendFile, type Content } from './send-file.ts';
import { Listener } from './listener.ts';

/** A request as it came, and what was answered; 0 where nothing was. */
interface FileRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly status: number;
}

/**
 * A web server with files to download, that can do to a client whatever web servers do: redirect anywhere, stall, lie
 * about lengths, break off, forget how to resume, ask for credentials.
 */
export interface FileServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly FileRequest[];
  /** The next requests for `path` meet this. */
  failNext(path: string, fault: FileFault, times?: number): void;
  /** Of the content of a file, hex. */
  sha256(path: string): string;
}

/** `files` by path, with the leading slash. */
export async function startFileServer(options: {
  readonly files: Readonly<Record<string, Served>>;
}): Promise<FileServer> {
  const shelf = new Shelf(options.files);
  const listener = await Listener.start((request, response) => {
    // A client that goes away in the middle has nobody left to answer.
    shelf.serve(request, response).catch(() => response.destroy());
  });
  return {
    url: listener.url,
    requests: shelf.requests,
    failNext: (path, fault, times = 1) => shelf.failNext(path, fault, times),
    sha256: (path) => shelf.sha256(path),
    [Symbol.asyncDispose]: () => listener.down(),
  };
}

class Shelf {
  readonly requests: FileRequest[] = [];
  readonly #files: ReadonlyMap<string, Served>;
  readonly #faults = new Map<string, FileFault[]>();
  #changes = 0;

  constructor(files: Readonly<Record<string, Served>>) {
    this.#files = new Map(Object.entries(files));
  }

  failNext(path: string, fault: FileFault, times: number): void {
    const waiting = this.#faults.get(path) ?? [];
    this.#faults.set(path, [...waiting, ...Array<FileFault>(times).fill(fault)]);
  }

  sha256(path: string): string {
    const served = this.#files.get(path);
    if (!served || 'redirect' in served) throw new Error(`There is no file at ${path}`);
    return sha256Of(served.content);
  }

  async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(message.url ?? '/', 'http://files');
    const { method = '', headers } = message;
    const request = { method, path: pathname, query: searchParams, headers, status: 0 };
    this.requests.push(request);
    const note = () => (request.status = response.headersSent ? response.statusCode : 0);
    response.once('close', note);
    const served = this.#files.get(decodeURIComponent(pathname));
    if (!served) response.writeHead(404).end();
    else if ('redirect' in served) redirect(response, served.redirect);
    else await this.#send(served, request, response);
  }

  async #send(file: ServedFile, request: FileRequest, response: ServerResponse): Promise<void> {
    const fault = this.#faults.get(request.path)?.shift() ?? file.fault;
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'refuse') {
      response.writeHead(fault.status, fault.headers).end('Refused on purpose');
    } else if (!isAllowed(file.needs, request)) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="files"' }).end();
    } else {
      const etag = this.#etagOf(file);
      await sendFile(response, file, {
        asked: request.headers,
        ...(etag === undefined ? {} : { etag }),
        ...(fault ? { fault } : {}),
      });
    }
  }

  #etagOf({ etag = 'stable' }: ServedFile): string | undefined {
    if (etag === 'none') return undefined;
    return etag === 'stable' ? '"one"' : `"${++this.#changes}"`;
  }
}

function redirect(response: ServerResponse, { to, status = 302 }: Redirect): void {
  response.writeHead(status, { location: to, 'content-length': 0 }).end();
}

/** What the server has at a path. */
export type Served = ServedFile | { readonly redirect: Redirect };

export interface Redirect {
  /** A path of this server, or a URL anywhere. */
  readonly to: string;
  /** 302 unless told otherwise. */
  readonly status?: 301 | 302 | 303 | 307 | 308;
}

export interface ServedFile {
  readonly content: Content;
  /** `application/octet-stream` unless told otherwise; not checked against the content. */
  readonly mediaType?: string;
  /** False: every request gets the whole file with 200. */
  readonly ranges?: boolean;
  /** `changing`: another one for each request, so that nothing can be resumed. */
  readonly etag?: 'stable' | 'changing' | 'none';
  /** The length is not told. */
  readonly chunked?: true;
  /** Compressed whenever the client says it can read that; then without length and ranges. */
  readonly gzip?: true;
  readonly needs?: Credentials;
  /** What every request for it meets, after those of `failNext`. */
  readonly fault?: FileFault;
}

export type Credentials =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'header'; readonly name: string; readonly value: string }
  | { readonly kind: 'query'; readonly name: string; readonly value: string };

export type FileFault =
  /** The request is read and never answered. */
  | { readonly kind: 'hang' }
  /** The answer begins, and stops without an end. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** The connection is reset in the middle. */
  | { readonly kind: 'drop'; readonly afterBytes: number }
  /** `Content-Length` says this; what is sent is the file, and then the connection ends. */
  | { readonly kind: 'claim'; readonly bytes: number }
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** Whether a request shows what the file needs. */
export function isAllowed(
  needs: Credentials | undefined,
  { headers, query }: { readonly headers: IncomingHttpHeaders; readonly query: URLSearchParams },
): boolean {
  switch (needs?.kind) {
    case undefined:
      return true;
    case 'bearer':
      return headers.authorization === `Bearer ${needs.token}`;
    case 'basic':
      return headers.authorization === `Basic ${btoa(`${needs.user}:${needs.password}`)}`;
    case 'header':
      return headers[needs.name.toLowerCase()] === needs.value;
    case 'query':
      return query.get(needs.name) === needs.value;
  }
}
