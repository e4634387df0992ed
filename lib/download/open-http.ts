import type { Dispatcher } from 'undici';
import { VERSION } from '../version.ts';
import { answerProblem, headerOf, toPart, type Part } from './answer.ts';
import { authorize } from './authorize.ts';
import { authFor, type Credential } from './credentials.ts';
import { unconnected, refused } from './refusal.ts';

export interface HttpOptions {
  /** Connects to nothing it should not; checks every hop anew. */
  readonly agent: Dispatcher;
  readonly credentials: readonly Credential[];
  readonly idleTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** What is there already: `offset` bytes of this version of the file. */
export interface Resume {
  readonly offset: number;
  readonly version: string | undefined;
}

/**
 * Asks for a file, or for the rest of it, and follows redirects by hand: each is a request of its own, to an address that
 * is checked, with the credentials meant for it and no others.
 * @throws WorkerError `input.download_refused`, or `input.download_failed` when another try may help.
 */
export async function openHttp(start: URL, resume: Resume, options: HttpOptions): Promise<Part> {
  let url = start;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const answer = await get(url, resume, options);
    if (answer.statusCode === 416 && resume.version !== undefined) {
      discard(answer);
      return await openHttp(start, ANEW, options);
    }
    const next = nextHop(answer, url);
    if (!next) return await partOf(answer, url);
    discard(answer);
    url = next;
  }
  throw refused(start, `it redirects more than ${MAX_REDIRECTS} times`);
}

async function get(url: URL, { offset, version }: Resume, options: HttpOptions) {
  const { agent, credentials, idleTimeoutMs, signal } = options;
  const request = authorize(url, authFor(url, credentials));
  try {
    return await agent.request({
      method: 'GET',
      origin: request.url.origin,
      path: request.url.pathname + request.url.search,
      headers: {
        'user-agent': `comfyui-worker/${VERSION}`,
        accept: '*/*',
        'accept-encoding': 'identity',
        ...(version === undefined ? {} : { range: `bytes=${offset}-`, 'if-range': version }),
        ...request.headers,
      },
      headersTimeout: idleTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      signal,
    });
  } catch (error) {
    throw signal.aborted ? signal.reason : unconnected(url, error);
  }
}

function nextHop({ statusCode, headers }: Dispatcher.ResponseData, from: URL): URL | undefined {
  const location = headerOf(headers, 'location');
  if (!REDIRECTS.has(statusCode) || location === undefined) return undefined;
  const to = URL.parse(location, from.href);
  if (!to) throw refused(from, 'it redirects to something that is no URL');
  if (to.protocol === 'https:' || to.protocol === from.protocol) return to;
  throw refused(
    from,
    `it redirects from ${from.protocol}// to ${to.protocol}//, which is not followed`,
  );
}

async function partOf(answer: Dispatcher.ResponseData, url: URL): Promise<Part> {
  if (answer.statusCode === 200 || answer.statusCode === 206) return toPart(answer, url);
  throw await answerProblem(answer, url);
}

/** The connection is closed rather than read to the end of whatever comes. */
function discard({ body }: Dispatcher.ResponseData): void {
  body.on('error', () => undefined).destroy();
}

/** The server has not as much as we have: what it said before was wrong. */
const ANEW: Resume = { offset: 0, version: undefined };

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 10;
