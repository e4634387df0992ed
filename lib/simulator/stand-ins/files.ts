import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { sha256Of } from './files/content.ts';
import { isAllowed } from './files/credentials.ts';
import { sendFile } from './files/send-file.ts';
import type { FileFault, Redirect, Served, ServedFile } from './files/served-file.ts';
import { Listener } from './platform/listener.ts';

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
