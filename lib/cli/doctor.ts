import { describeError, isWorkerError } from '../errors.ts';
import { bucketCheck } from './doctor/bucket.ts';
import { clockCheck } from './doctor/clock.ts';
import { comfyCheck } from './doctor/comfy.ts';
import type { Check, Finding, Surroundings } from './doctor/finding.ts';
import { modelsCheck } from './doctor/models.ts';
import { nodeCheck } from './doctor/node.ts';
import { platformCheck } from './doctor/platform.ts';
import { readSettings } from './doctor/settings.ts';
import { spoolCheck } from './doctor/spool.ts';
import { volumeCheck } from './doctor/volume.ts';
import { exitCode } from './exit-codes.ts';
import type { CliParts } from './parts.ts';

export interface DoctorOptions {
  readonly json?: true;
}

const CHECKS: readonly Check[] = [
  nodeCheck,
  comfyCheck,
  modelsCheck,
  volumeCheck,
  bucketCheck,
  clockCheck,
  platformCheck,
  spoolCheck,
];

/** Looks at everything side by side and tells what it found, to stdout. @returns the exit code: 1 when something is broken. */
export async function doctor({ json }: DoctorOptions, parts: CliParts): Promise<number> {
  const { config, findings: settings } = readSettings(parts.environment);
  const around: Surroundings = {
    config,
    nodeVersion: process.versions.node,
    volume: '/runpod-volume',
    openStorage: () => parts.openStorage(config),
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
