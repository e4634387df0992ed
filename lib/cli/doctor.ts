import { describeError, isWorkerError } from '../errors.ts';
import { exitCode } from './conclude.ts';
import type { CliContext } from './context.ts';
import type { Check, Finding, Surroundings } from './doctor/check.ts';
import { comfyCheck, modelsCheck } from './doctor/comfy.ts';
import {
  clockCheck,
  deadlyJobsCheck,
  nodeCheck,
  readSettings,
  spoolCheck,
  volumeCheck,
} from './doctor/machine.ts';
import { upkeepCheck } from './doctor/upkeep.ts';
import { bucketCheck, platformCheck } from './doctor/platform.ts';

export interface DoctorOptions {
  readonly json?: true;
  readonly forgetDeadlyJobs?: true;
}

const CHECKS: readonly Check[] = [
  nodeCheck,
  comfyCheck,
  upkeepCheck,
  modelsCheck,
  volumeCheck,
  bucketCheck,
  clockCheck,
  platformCheck,
  spoolCheck,
  deadlyJobsCheck,
];

/** Runs all checks at the same time and prints their findings to stdout. @returns the exit code: 1 when something is broken. */
export async function doctor(
  { json, forgetDeadlyJobs }: DoctorOptions,
  context: CliContext,
): Promise<number> {
  const { config, findings: settings } = readSettings(context.environment);
  const deadlyJobs = context.deadlyJobs(config);
  if (forgetDeadlyJobs) await deadlyJobs.clear();
  const around: Surroundings = {
    config,
    nodeVersion: process.versions.node,
    volume: '/runpod-volume',
    backend: context.backend,
    deadlyJobs,
    comfyMemory: () => context.comfyMemory(config),
    openWorkerBucket: () => context.openWorkerBucket(config),
  };
  const found = await Promise.all(CHECKS.map((check) => lookInTime(check, around)));
  const findings = [...settings, ...found.flat()];
  const isHealthy = findings.every(({ state }) => state !== 'broken');
  const text = json ? JSON.stringify({ healthy: isHealthy, findings }) : describe(findings);
  process.stdout.write(`${text}\n`);
  return exitCode(isHealthy ? 'done' : 'failed');
}

async function lookInTime({ subject, look }: Check, around: Surroundings) {
  try {
    return await look(around, AbortSignal.timeout(CHECK_MS));
  } catch (error) {
    const problems = isWorkerError(error) ? (error.details ?? [error.message]) : undefined;
    const advice = 'see docs/configuration.md';
    return (problems ?? [describeError(error)]).map((message) => {
      return { subject, state: 'broken', message, advice } satisfies Finding;
    });
  }
}

function describe(findings: readonly Finding[]): string {
  const lines = findings.map(({ subject, state, message, advice }) => {
    const line = `${state.padEnd(8)} ${subject.padEnd(9)} ${message}`;
    return advice === undefined ? line : `${line}\n${' '.repeat(19)}→ ${advice}`;
  });
  const broken = findings.filter(({ state }) => state === 'broken').length;
  const end = broken === 0 ? 'Nothing is broken.' : `${broken} broken.`;
  return [...lines, '', end].join('\n');
}

const CHECK_MS = 20_000;
