/**
 * Reads the examples of `docs/job-api.md` and the README. The word after the language of a code block says what it is:
 *
 * | block           | meaning                                                            |
 * | --------------- | ------------------------------------------------------------------ |
 * | `json job`      | is submitted                                                       |
 * | `json result`   | is the result of the job before it                                 |
 * | `ini settings`  | environment of the worker, for the jobs below it in the section    |
 * | `json file x`   | a file in `WORKFLOWS_DIR` for all jobs; also `js file x`           |
 */

export interface JobExample {
  /** The heading it stands under, and its number there when there are several. */
  readonly title: string;
  readonly job: string;
  readonly result: string;
  readonly settings: string;
  readonly files: Readonly<Record<string, string>>;
}

/** @throws RangeError for a job without a result. */
export function readExamples(markdown: string): JobExample[] {
  const found = blocksOf(markdown).filter(({ kind }) => kind === 'file');
  const files = Object.fromEntries(found.map(({ name, code }) => [name, code]));
  const sections = markdown.split(/^(?=##+ )/m);
  return sections.flatMap((section) => readSection(section).map((one) => ({ ...one, files })));
}

function readSection(section: string): Omit<JobExample, 'files'>[] {
  const heading = /^##+ (.*)$/m.exec(section)?.[1]?.replaceAll('`', '') ?? 'Introduction';
  const blocks = blocksOf(section);
  const settings = blocks.filter(({ kind }) => kind === 'settings').map(({ code }) => code);
  const talk = blocks.filter(({ kind }) => kind === 'job' || kind === 'result');
  const jobs = talk.filter(({ kind }) => kind === 'job');
  return jobs.map((job, at) => {
    const title = jobs.length > 1 ? `${heading} (${at + 1})` : heading;
    const result = talk[talk.indexOf(job) + 1];
    if (result?.kind !== 'result') throw new RangeError(`The job of "${title}" has no result`);
    return { title, job: job.code, result: result.code, settings: settings.join('') };
  });
}

interface Block {
  readonly kind: string;
  readonly name: string;
  readonly code: string;
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(BLOCK)].map(([, kind = '', name = '', code = '']) => ({
    kind,
    name,
    code,
  }));
}

const BLOCK = /^```\w+ (job|result|settings|file)(?: (\S+))?\n(.*?)^```$/gms;
