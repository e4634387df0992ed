import { request, type Dispatcher } from 'undici';
import { z } from 'zod';
import { invalidConfig, type Config } from '../../config.ts';
import { CredentialsSchema, toHttpUrl, type Credential } from '../../download/credentials.ts';
import { refused, disconnected } from '../../download/download-error.ts';
import { headerOf, type SiteRules } from '../../download/open-http.ts';
import { under } from '../../http/base-url.ts';
import { answerFailure, readStart } from '../../http/failure.ts';
import { USER_AGENT } from '../../version.ts';

/** Where models come from, and what each site tells about them: Hugging Face, Civitai, S3, Azure, any other server. */

export interface SiteSettings {
  readonly huggingFaceUrl: string;
  readonly civitaiUrl: string;
  /** In order; the first one that is meant for a URL is used. */
  readonly credentials: readonly Credential[];
}

/** @throws WorkerError `config.invalid` if MODEL_CREDENTIALS cannot be read. */
export function siteSettings(
  config: Pick<
    Config,
    'HF_ENDPOINT' | 'HF_TOKEN' | 'CIVITAI_ENDPOINT' | 'CIVITAI_TOKEN' | 'MODEL_CREDENTIALS'
  >,
): SiteSettings {
  const tokens = [
    [config.HF_ENDPOINT, config.HF_TOKEN],
    [config.CIVITAI_ENDPOINT, config.CIVITAI_TOKEN],
  ] as const;
  const own = tokens.flatMap(([site, token]) =>
    // The pattern begins with the scheme and the host, so the token never goes anywhere else.
    token === undefined
      ? []
      : [{ url_pattern: `${new URL(site).origin}/**`, auth: { type: 'bearer', token } }],
  );
  const others = CredentialsSchema.safeParse(config.MODEL_CREDENTIALS);
  if (!others.success)
    throw invalidConfig([
      `MODEL_CREDENTIALS must be a list of {"url_pattern", "auth"}: ${issuesOf(others.error)}`,
    ]);
  return {
    huggingFaceUrl: config.HF_ENDPOINT,
    civitaiUrl: config.CIVITAI_ENDPOINT,
    credentials: [...others.data, ...CredentialsSchema.parse(own)],
  };
}

const issuesOf = ({ issues }: z.ZodError) =>
  issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');

/** Facts of a site about a file. Unknown ones are undefined. */
export interface SiteFacts {
  sha256?: string | undefined;
  size?: number | undefined;
  /** The commit that a branch or tag stands for. */
  revision?: string | undefined;
  filename?: string | undefined;
}

/** A model at its site. */
export interface Source {
  /** To be requested anew for every part: what it redirects to expires. */
  readonly url: URL;
  readonly credentials: readonly Credential[];
  readonly rules: SiteRules;
  /** Filled by {@link findSource} and by the redirects of a download. */
  readonly facts: SiteFacts;
}

interface FindOptions {
  readonly sites: SiteSettings;
  readonly agent: Dispatcher;
  readonly signal: AbortSignal;
}

/**
 * Turns the URL that people have into the one to download from. Civitai is asked for the file; the others tell with the
 * download itself.
 * @param revision commit, branch or tag; for Hugging Face only
 * @throws WorkerError `input.download_refused` or `input.download_failed`
 */
export async function findSource(
  sent: string,
  revision: string | undefined,
  { sites, agent, signal }: FindOptions,
): Promise<Source> {
  const url = URL.parse(sent);
  if (!url || !/^(?:https?|s3):$/.test(url.protocol))
    throw refused(
      url ?? new URL('invalid:'),
      'expected a URL that begins with https://, http:// or s3://',
    );
  const { credentials } = sites;
  if (url.protocol === 's3:') {
    const presigned = await toHttpUrl(url, credentials);
    return { url: presigned, credentials: [], rules: rulesFor(HINTS.s3), facts: {} };
  }
  if (url.origin === new URL(sites.huggingFaceUrl).origin)
    return huggingFace(url, revision, credentials);
  if (url.origin === new URL(sites.civitaiUrl).origin)
    return await civitai(url, { sites, agent, signal });
  const isAzure = url.hostname.endsWith('.blob.core.windows.net');
  const rules = rulesFor(isAzure ? HINTS.azure : HINTS.any);
  // Azure takes tokens only with a version of its protocol.
  const headers = () => ({ 'x-ms-version': '2021-08-06' });
  return { url, credentials, rules: isAzure ? { ...rules, headers } : rules, facts: {} };
}

const HINTS = {
  any: 'what lets us in goes into MODEL_CREDENTIALS',
  s3: 'keys for it go into MODEL_CREDENTIALS, with the type "s3"',
  azure: 'add a SAS token to the URL, or put a bearer token into MODEL_CREDENTIALS',
} as const;

const isDenied = (status: number) => status === 401 || status === 403;

const rulesFor = (hint: string): SiteRules => ({
  explain: (status) => (isDenied(status) ? hint : undefined),
});

/**
 * `/owner/repo/resolve/revision/path`; the page of a file has `blob` in the place of `resolve`. The answer is a redirect to
 * a store. It has the commit, and for files in Git LFS (all models) the size, and the SHA-256 as the ETag.
 */
function huggingFace(
  url: URL,
  revision: string | undefined,
  credentials: readonly Credential[],
): Source {
  const facts: SiteFacts = {};
  const file = new URL(url);
  file.search = '';
  file.pathname = url.pathname.replace(
    /^(\/(?:datasets\/|spaces\/)?[^/]+\/[^/]+)\/(?:resolve|blob|raw)\/([^/]+)\//,
    (_, repo: string, named: string) => `${repo}/resolve/${revision ?? named}/`,
  );
  const note = (headers: Dispatcher.ResponseData['headers']) => {
    const digest = headerOf(headers, 'x-linked-etag')?.replaceAll('"', '');
    const size = Number(headerOf(headers, 'x-linked-size') ?? Number.NaN);
    if (digest !== undefined && /^[0-9a-f]{64}$/.test(digest)) facts.sha256 = digest;
    if (Number.isSafeInteger(size)) facts.size = size;
    facts.revision = headerOf(headers, 'x-repo-commit') ?? facts.revision;
  };
  const explain: SiteRules['explain'] = (status, headers) => {
    const code = headerOf(headers, 'x-error-code');
    if (status === 404) return NOT_FOUND[code ?? ''] ?? 'there is no such file';
    if (code === 'GatedRepo' || status === 403)
      return status === 401
        ? 'the repository is gated: accept its licence on huggingface.co, and set HF_TOKEN'
        : 'the repository is gated, and the account of HF_TOKEN has not accepted its licence; accept it on the page of the repository';
    return status === 401
      ? 'the repository is private, gated or not there; set HF_TOKEN to a token that may read it'
      : undefined;
  };
  return { url: file, credentials, facts, rules: { onRedirect: note, explain } };
}

const NOT_FOUND: Readonly<Record<string, string>> = {
  EntryNotFound: 'the repository has no such file',
  RevisionNotFound: 'the repository has no such revision',
  RepoNotFound: 'there is no such repository, or HF_TOKEN may not read it',
};

/**
 * `/api/download/models/<version id>`, or the page of a model, `/models/<model id>?modelVersionId=<version id>`. Civitai is
 * asked for the version first: the URL itself has neither a name nor a digest.
 */
async function civitai(url: URL, { sites, agent, signal }: FindOptions): Promise<Source> {
  const base = sites.civitaiUrl;
  const [, direct] = /^\/api\/download\/models\/(\d+)/.exec(url.pathname) ?? [];
  const [, modelId] = /^\/models\/(\d+)/.exec(url.pathname) ?? [];
  const bare = new URL(url);
  bare.searchParams.delete('token');
  const credentials = withQueryToken(url, sites.credentials);
  let versionId = direct ?? url.searchParams.get('modelVersionId') ?? undefined;
  if (versionId === undefined && modelId !== undefined) {
    const model = await ask(under(base, `/api/v1/models/${modelId}`), agent, signal);
    versionId = String(
      z.object({ modelVersions: VersionsSchema }).parse(model).modelVersions[0].id,
    );
  }
  if (versionId === undefined)
    throw refused(url, 'expected .../models/<id> or .../api/download/models/<version id>');
  const answer = await ask(under(base, `/api/v1/model-versions/${versionId}`), agent, signal);
  const { files } = VersionSchema.catch({ files: [] }).parse(answer);
  // With a choice in the query (`?type=VAE&fp=fp16`) the primary file may be another one.
  const isPlain = [...bare.searchParams.keys()].every((name) => name === 'modelVersionId');
  const file = isPlain ? (files.find(({ primary }) => primary) ?? files[0]) : undefined;
  const download =
    direct === undefined ? new URL(under(base, `/api/download/models/${versionId}`)) : bare;
  return {
    url: download,
    credentials,
    facts: { filename: file?.name, sha256: file?.hashes?.SHA256?.toLowerCase() },
    rules: {
      // Without it, Civitai redirects those it does not let in to its login page (`api/download/models/[modelVersionId].ts`).
      headers: (at) =>
        at.origin === download.origin ? { 'content-type': 'application/json' } : {},
      onRedirect: (_headers, from, to) => {
        if (to.origin === download.origin && /\/(?:login|auth|purchase|pricing)/.test(to.pathname))
          throw refused(from, CIVITAI_LOGIN);
      },
      explain: (status) => {
        if (isDenied(status)) return CIVITAI_LOGIN;
        return status === 404 ? 'there is no such version, or it is not published' : undefined;
      },
    },
  };
}

const CIVITAI_LOGIN =
  'Civitai asks for a login; set CIVITAI_TOKEN to an API key of an account that may download it (early access needs a purchase)';

/** A key in the query becomes a header, so that it is in no log. */
function withQueryToken(url: URL, credentials: readonly Credential[]): readonly Credential[] {
  const token = url.searchParams.get('token');
  if (token === null) return credentials;
  const own = { url_pattern: `${url.origin}/**`, auth: { type: 'bearer', token } };
  return [...CredentialsSchema.parse([own]), ...credentials];
}

const VersionsSchema = z.tuple([z.object({ id: z.number() })], z.unknown());
const VersionSchema = z.object({
  files: z.array(
    z.object({
      name: z.string(),
      primary: z.boolean().optional(),
      hashes: z.object({ SHA256: z.string().optional() }).optional(),
    }),
  ),
});

/** Asks the API of a site. */
async function ask(address: string, agent: Dispatcher, signal: AbortSignal): Promise<unknown> {
  const url = new URL(address);
  const options = { dispatcher: agent, signal, headersTimeout: API_MS, bodyTimeout: API_MS };
  const answer = await request(url, {
    ...options,
    headers: { 'user-agent': USER_AGENT, accept: 'application/json' },
  }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : disconnected(url, error);
  });
  if (answer.statusCode !== 200) throw refused(url, (await answerFailure(answer)).reason);
  try {
    return JSON.parse(await readStart(answer.body, MAX_API_BYTES));
  } catch {
    throw refused(url, 'the answer is no JSON');
  }
}

const API_MS = 30_000;
const MAX_API_BYTES = 8 * 1024 * 1024;
