import { readConfig, type Config } from '../../config.ts';
import { isWorkerError } from '../../errors.ts';
import { Findings, type Finding } from './finding.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads what can be read of the environment, so that the other checks have something to go on. */
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
