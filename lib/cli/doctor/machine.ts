import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readConfig, type Config } from '../../config.ts';
import { describeError, errnoOf, isWorkerError, shownLines } from '../../errors.ts';
import { ask } from '../requests.ts';
import { Findings, type Check, type Finding } from './check.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the valid variables, so that the other checks can run although some variables are wrong. */
export function readSettings(environment: Environment): {
  readonly config: Config;
  readonly findings: readonly Finding[];
} {
  const problems = problemsOf(environment);
  const unreadable = new Set(problems.map((problem) => problem.split(' ', 1)[0] ?? ''));
  const rest = Object.entries(environment).filter(([name]) => !unreadable.has(name));
  const found = new Findings('Settings');
  for (const problem of problems)
    found.broken(problem, 'correct the variable, or remove it; see docs/configuration.md');
  if (problems.length === 0) found.ok('every variable that is set can be read');
  return { config: readConfig(Object.fromEntries(rest)), findings: found.all };
}

function problemsOf(environment: Environment): readonly string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (isWorkerError(error, 'config.invalid')) return error.details ?? [];
    throw error;
  }
}

/** The version of Node. */
export const nodeCheck: Check = {
  subject: 'Node',
  look: ({ nodeVersion }) => {
    const found = new Findings('Node');
    const [major = '0'] = nodeVersion.replace(/^v/, '').split('.');
    if (Number(major) >= LEAST_MAJOR) found.ok(nodeVersion);
    else found.broken(`${nodeVersion} is too old`, `install Node ${LEAST_MAJOR} or newer`);
    return Promise.resolve(found.all);
  },
};

const LEAST_MAJOR = 24;

/** RunPod's network volume, and whether models are where ComfyUI looks for them. */
export const volumeCheck: Check = {
  subject: 'Volume',
  look: async ({ volume }) => {
    const found = new Findings('Volume');
    const names = await namesIn(volume);
    if (!names) return found.skipped(`no network volume is mounted at ${volume}`).all;
    const models = await namesIn(join(volume, 'models'));
    if (!models) found.warning(`${volume} has no folder "models"`, await adviceFor(volume, names));
    else if (models.length === 0)
      found.warning(
        `${volume}/models is empty`,
        `put models into ${volume}/models/checkpoints, ...`,
      );
    else found.ok(`${volume}/models has ${models.sort().join(', ')}`);
    return found.all;
  },
};

/** A volume that was filled by a pod often holds a whole ComfyUI. */
async function adviceFor(volume: string, names: readonly string[]): Promise<string> {
  for (const name of names) {
    const inner = await namesIn(join(volume, name, 'models'));
    if (inner) return `there is ${volume}/${name}/models: move it to ${volume}/models`;
  }
  return `put models into ${volume}/models/checkpoints, ...`;
}

/** Undefined when there is no such folder. */
async function namesIn(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** The folder for undelivered results must be writable, and should have space for some. */
export const spoolCheck: Check = {
  subject: 'Spool',
  look: async ({ config: { RESULT_SPOOL_DIR: folder, RESULT_MAX_BYTES: most } }) => {
    const found = new Findings('Spool');
    try {
      await tryToWrite(folder);
      const left = (await readdir(folder)).filter((name) => name.endsWith('.result'));
      found.ok(
        `${folder} can be written${left.length > 0 ? `; ${left.length} results wait there` : ''}`,
      );
      await checkSpace(folder, most, found);
    } catch (error) {
      found.broken(
        `${folder} cannot be written: ${describeError(error)}`,
        'set RESULT_SPOOL_DIR to a folder this user may write to; without one a result is lost with its worker',
      );
    }
    return found.all;
  },
};

/** Jobs that killed ComfyUI with each attempt and are refused for a while. */
export const deadlyJobsCheck: Check = {
  subject: 'Jobs',
  look: async ({ deadlyJobs }) => {
    const found = new Findings('Jobs');
    const jobs = await deadlyJobs.list();
    if (jobs.length === 0) return found.ok('no job is refused for killing ComfyUI').all;
    const named = jobs.map(
      ({ jobId, killedAt }) => `${jobId} (${new Date(killedAt).toISOString()})`,
    );
    return found.warning(
      `jobs that are refused because they killed ComfyUI (${jobs.length}): ${shownLines(named).join(', ')}`,
      'look at their workflows and images; doctor --forget-deadly-jobs lets them run again',
    ).all;
  },
};

async function tryToWrite(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${PROBE}${randomUUID()}`);
  try {
    await writeFile(path, PROBE);
    if ((await readFile(path, 'utf8')) !== PROBE) throw new Error('what was written is not there');
  } finally {
    await rm(path, { force: true });
  }
}

async function checkSpace(folder: string, most: number, found: Findings): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const results = Math.floor((bavail * bsize) / most);
  if (results >= FEW) return;
  found.warning(
    `${folder} has room for ${results} of the largest results`,
    'free some of that disk, or set RESULT_SPOOL_DIR to another one',
  );
}

const PROBE = 'doctor-';
const FEW = 5;

/** Stores refuse signatures that are 15 minutes off, so the clock is compared with that of a server. */
export const clockCheck: Check = {
  subject: 'Clock',
  look: async ({ config }, signal) => {
    const found = new Findings('Clock');
    const url = config.BUCKET_ENDPOINT_URL ?? config.RUNPOD_WEBHOOK_GET_JOB;
    if (url === undefined) return found.skipped('there is no server to compare it with').all;
    const { origin } = new URL(url);
    try {
      const response = await ask(origin, signal, 'HEAD');
      compare(found, origin, response.headers.get('date'));
    } catch (error) {
      found.skipped(`it cannot be compared: ${describeError(error)}`);
    }
    return found.all;
  },
};

function compare(found: Findings, origin: string, date: string | null): void {
  const told = Date.parse(date ?? '');
  if (Number.isNaN(told)) {
    found.skipped(`${origin} does not tell its time`);
    return;
  }
  const seconds = Math.round(Math.abs(Date.now() - told) / 1000);
  const text = `${seconds} s from that of ${origin}`;
  if (seconds > BROKEN_S) found.broken(text, ADVICE);
  else if (seconds > WARNING_S) found.warning(text, ADVICE);
  else found.ok(text);
}

const ADVICE = 'let this machine set its clock from the network (NTP)';
const WARNING_S = 60;
const BROKEN_S = 600;
