import type { Dispatcher } from 'undici';
import { discard, openHttp } from '../../download/open-http.ts';
import { findSource, type SiteFacts, type SiteSettings } from '../fetch/sites.ts';
import { filenameOf, type Lock, type Manifest, type ModelEntry } from './schema.ts';
import { modelsOf } from './read-manifest.ts';
import { runProgram } from '../../processes/run-program.ts';

interface AskOptions {
  readonly sites: SiteSettings;
  readonly agent: Dispatcher;
  readonly signal: AbortSignal;
}

/**
 * Asks the site of a model for its revision, size, SHA-256 and name, with a request for the first byte. Sites other than
 * Hugging Face and Civitai tell the size only.
 * @throws WorkerError `input.download_refused` or `input.download_failed`
 */
async function askSite(
  { url, revision }: Pick<ModelEntry, 'url' | 'revision'>,
  { sites, agent, signal }: AskOptions,
): Promise<SiteFacts> {
  const source = await findSource(url, revision, { sites, agent, signal });
  const { credentials, rules, facts } = source;
  const answer = await openHttp(
    source.url,
    { offset: 0, end: 1, etag: undefined },
    { agent, credentials, rules, signal, idleTimeoutMs: ASK_MS },
  );
  discard(answer.body);
  return {
    ...facts,
    size: facts.size ?? answer.total,
    filename: facts.filename ?? answer.filename,
  };
}

const ASK_MS = 30_000;

/** A model with everything that its site tells. Values that it has already are kept. */
export async function withFacts(model: ModelEntry, options: AskOptions): Promise<ModelEntry> {
  const { sha256, size, revision, filename } = await askSite(model, options);
  const facts = {
    ...(revision === undefined ? {} : { revision }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(size === undefined ? {} : { size }),
    // The URL of Civitai ends with a number.
    ...(filename === undefined || /\.\w+$/.test(filenameOf(model)) ? {} : { filename }),
  };
  return { ...facts, ...model, ...(revision === undefined ? {} : { revision }) };
}

/** The lock of a manifest: what the sites say now, and the commits that the refs of node packs stand for. */
export async function lockManifest(manifest: Manifest, options: AskOptions): Promise<Lock> {
  const models = [];
  for (const { url, revision, ...model } of modelsOf(manifest)) {
    const facts = await askSite({ url, revision }, options);
    models.push({
      url,
      revision,
      commit: facts.revision,
      sha256: model.sha256 ?? facts.sha256,
      size: model.size ?? facts.size,
      filename: model.filename ?? (/\.\w+$/.test(filenameOf({ url })) ? undefined : facts.filename),
    });
  }
  const packs = [];
  for (const pack of manifest.custom_nodes) {
    if (!('url' in pack)) continue;
    const commit = await commitOf(pack.url, pack.ref, options.signal);
    packs.push({ url: pack.url, ref: pack.ref, commit });
  }
  return { version: 1, models, custom_nodes: packs };
}

/** The commit that a branch or tag of a repository stands for. A commit is returned as it is. */
async function commitOf(url: string, ref: string, signal: AbortSignal): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(ref)) return ref;
  const listed = await runProgram(['git', 'ls-remote', url, ref, `${ref}^{}`], {
    signal,
    onLine: () => undefined,
  });
  const lines = listed.trim().split('\n');
  // An annotated tag is an object of its own; `^{}` is the commit it is on.
  const line = lines.find((one) => one.endsWith('^{}')) ?? lines[0] ?? '';
  return line.split('\t')[0] ?? ref;
}
