/**
 * Measures a worker from outside. The queue is a stand-in for RunPod's control plane, ComfyUI is the embedded one or a real
 * one, and the worker is any command that reads RunPod's environment variables. `--help` lists the options.
 */
import { writeFile } from 'node:fs/promises';
import { describeError } from '../lib/errors.ts';
import { parseArguments, USAGE, type BenchArguments } from './bench/arguments.ts';
import { builtWorkerCommand } from './bench/worker-process.ts';
import { reachComfy, startEmbeddedComfy } from './bench/comfy.ts';
import { newReport, toLines, toTable, type Report, type Figures } from './bench/report.ts';
import { runBareClient, runScenario } from './bench/run-scenario.ts';

if (process.argv.includes('--help')) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  try {
    await bench(parseArguments(process.argv.slice(2)), interrupted.signal);
  } catch (error) {
    console.error(interrupted.signal.aborted ? 'Interrupted' : describeError(error));
    process.exitCode = 1;
  }
}

async function bench(options: BenchArguments, signal: AbortSignal): Promise<void> {
  const { comfyUrl, comfyPort, scenarios, jsonFile } = options;
  const workerCommand = options.worker ?? (await builtWorkerCommand());
  await using comfy = await (comfyUrl ? reachComfy(comfyUrl) : startEmbeddedComfy(comfyPort));
  const report = newReport(workerCommand, comfy.embedded ? 'embedded' : comfy.url);
  console.log(heading(report));
  const figures: Figures[] = [];
  for (const scenario of scenarios) {
    signal.throwIfAborted();
    console.log(`\n${scenario.name}: ${scenario.about} (${scenario.count} ${scenario.kind})`);
    const bench = { workerCommand, comfyUrl: comfy.url, signal };
    const found = [await runScenario(scenario, bench)];
    if (scenario.kind === 'jobs' && scenario.queued === 1)
      found.push(await runBareClient(scenario, bench));
    for (const one of found) console.log(`${one.scenario}\n${toLines(one)}`);
    figures.push(...found);
  }
  if (figures.length > 1) console.log(`\n${toTable(figures)}`);
  if (jsonFile) await writeFile(jsonFile, `${JSON.stringify({ ...report, figures }, null, 2)}\n`);
}

function heading({ machine, node, worker, comfy }: Report): string {
  return [
    `machine  ${machine}`,
    `bench    Node ${node}`,
    `worker   ${worker}`,
    `ComfyUI  ${comfy}`,
    'For a series, the first number is the median.',
  ].join('\n');
}
