import { parseArgs } from 'node:util';
import { SCENARIOS, type Scenario } from './scenarios.ts';

export interface BenchArguments {
  /** Default: this worker, built. */
  readonly worker: string | undefined;
  /** Default: the embedded ComfyUI in its own process. */
  readonly comfyUrl: string | undefined;
  /** Port of the embedded ComfyUI; 0 means any free port. */
  readonly comfyPort: number;
  readonly scenarios: readonly Scenario[];
  readonly jsonFile: string | undefined;
}

export const USAGE = `npm run bench -- [options]

  --worker CMD       measure this one command (sh -c '...' for several) instead of the built worker
  --comfy URL        a running ComfyUI; files named bench-* stay in its input and output folders
  --comfy-port PORT  port of the embedded ComfyUI, for workers that know only 8188
  --only A,B         scenarios: ${SCENARIOS.map(({ name }) => name).join(', ')}
  --jobs N           jobs (or starts) per scenario instead of its own number
  --json FILE        also write the figures as JSON
`;

/** @throws Error with a message for the user. */
export function parseArguments(args: readonly string[]): BenchArguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      worker: { type: 'string' },
      comfy: { type: 'string' },
      'comfy-port': { type: 'string', default: '0' },
      only: { type: 'string' },
      jobs: { type: 'string' },
      json: { type: 'string' },
    },
  });
  return {
    worker: values.worker,
    comfyUrl: values.comfy?.replace(/\/+$/, ''),
    comfyPort: wholeNumber('--comfy-port', values['comfy-port'], 0),
    scenarios: chosen(values.only, values.worker).map((scenario) =>
      withJobs(scenario, values.jobs),
    ),
    jsonFile: values.json,
  };
}

/** Another worker may have no local API, so its scenarios run only if they are named with `--only`. */
function chosen(only: string | undefined, worker: string | undefined): readonly Scenario[] {
  if (only === undefined) return SCENARIOS.filter(({ kind }) => !worker || kind !== 'rounds');
  return only.split(',').map((name) => {
    const scenario = SCENARIOS.find((known) => known.name === name.trim());
    if (!scenario) throw new Error(`--only knows no scenario "${name}"`);
    return scenario;
  });
}

function withJobs(scenario: Scenario, jobs: string | undefined): Scenario {
  return jobs === undefined ? scenario : { ...scenario, count: wholeNumber('--jobs', jobs, 1) };
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new Error(`Expected ${name} to be a whole number of at least ${least}, got "${text}"`);
}
