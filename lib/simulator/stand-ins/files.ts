import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import {
  sha256Of,
  sendFile,
  type Credentials,
  type FileFault,
  type ServedFile,
} from './send-file.ts';
import { Listener } from './listener.ts';

/** A request and the status of its answer; 0 without an answer. */
interface FileRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly status: number;
  /** The bytes of the file that the connection has taken so far; `end` exclusive. */
  readonly sent: { readonly start: number; readonly end: number };
}

/**
 * A web server with files to download, that misbehaves on demand: redirects, stalls, sends wrong lengths, breaks off,
 * refuses to resume, asks for credentials.
 */
export interface FileServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly FileRequest[];
  /** The next `times` requests (default 1) for `path` get this fault. */
  failNext(path: string, fault: FileFault, times?: number): void;
  /** SHA-256 of a file's content, in hexadecimal digits. */
  sha256(path: string): string;
}

/** `files` are by path, with the leading slash. */
export async function startFileServer(options: {
  readonly files: Readonly<Record<string, Served>>;
}): Promise<FileServer> {
  const shelf = new Shelf(options.files);
  const listener = await Listener.start((request, response) => {
    // If the client has disconnected, there is nobody to answer.
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
    const sent = { start: 0, end: 0 };
    const request = { method, path: pathname, query: searchParams, headers, status: 0, sent };
    this.requests.push(request);
    response.once('close', () => {
      request.status = response.headersSent ? response.statusCode : 0;
    });
    const served = this.#files.get(decodeURIComponent(pathname));
    if (!served) response.writeHead(404).end();
    else if ('redirect' in served) {
      const { to, status = 302, headers: more } = served.redirect;
      response.writeHead(status, { ...more, location: to, 'content-length': 0 }).end();
    } else await this.#send(served, request, response);
  }

  async #send(file: ServedFile, request: Answered, response: ServerResponse): Promise<void> {
    const fault = this.#faults.get(request.path)?.shift() ?? file.fault;
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'refuse') {
      response.writeHead(fault.status, fault.headers).end('Refused on purpose');
    } else if (!isAllowed(file.needs, request)) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="files"' }).end();
    } else {
      const etag = this.#etagOf(file);
      await sendFile(response, file, {
        requestHeaders: request.headers,
        ...(etag === undefined ? {} : { etag }),
        ...(fault ? { fault } : {}),
        onSent: (start, end) => {
          const isFirst = request.sent.end === 0;
          request.sent = { start: isFirst ? start : request.sent.start, end };
        },
      });
    }
  }

  #etagOf({ etag = 'stable' }: ServedFile): string | undefined {
    if (etag === 'none') return undefined;
    return etag === 'stable' ? '"one"' : `"${++this.#changes}"`;
  }
}

interface Answered extends FileRequest {
  sent: FileRequest['sent'];
}

type Served = ServedFile | { readonly redirect: Redirect };

interface Redirect {
  /** A path of this server, or a URL anywhere. */
  readonly to: string;
  /** Default 302. */
  readonly status?: 301 | 302 | 303 | 307 | 308;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Whether a request shows the credentials the file needs. */
function isAllowed(
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
