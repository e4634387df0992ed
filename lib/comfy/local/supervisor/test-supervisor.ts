import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { systemClock } from '../../../clock.ts';
import { readConfig } from '../../../config.ts';
import { freePort } from '../../../http/test-free-port.ts';
import { processExists } from '../../../processes/process-stat.ts';
import { createLog } from '../../../log.ts';
import { comfySettings, supervisorSettings } from '../../settings.ts';
import { ComfySupervisor } from './supervisor.ts';

/** Shared by tests with a ComfyUI in a process of its own, which can be killed and stopped. */

/** A folder, a port, and the variables for a ComfyUI that the worker starts there. */
export async function startComfyPlace() {
  const parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'supervised-'));
  parts.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const port = await freePort();
  const script = resolve('lib/simulator/comfy/testing/run-comfy.ts');
  return {
    folder,
    port,
    environment: {
      COMFY_URL: `http://127.0.0.1:${port}`,
      COMFY_PID_FILE: join(folder, 'comfy.pid'),
      COMFY_COMMAND: `'${process.execPath}' --disable-warning=ExperimentalWarning '${script}'`,
      COMFY_ARGS: `--port ${port} --folder '${folder}'`,
      COMFY_LOG_LEVEL: 'debug',
    },
    write: async (name: string, text: string) => {
      await mkdir(join(folder, dirname(name)), { recursive: true });
      await writeFile(join(folder, name), text);
    },
    /** Process ids of all starts. */
    starts: () =>
      readdirSync(folder).flatMap((name) => {
        const pid = /^started-(\d+)$/.exec(name)?.[1];
        return pid === undefined ? [] : [Number(pid)];
      }),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

interface SupervisorLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A supervisor with its ComfyUI in a process of its own. */
export async function startSupervisor(
  place: Awaited<ReturnType<typeof startComfyPlace>>,
  more: Readonly<Record<string, string>> = {},
) {
  const config = readConfig({ ...place.environment, ...more });
  const lines: SupervisorLine[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as SupervisorLine);
  const log = await createLog({ level: 'debug', format: 'json', destination: { write } });
  const comfy = { ...comfySettings(config), downTimeoutMs: config.COMFY_DOWN_TIMEOUT_S * 1000 };
  const settings = supervisorSettings(config);
  if (!settings) throw new Error('COMFY_COMMAND is not set');
  const supervisor = await ComfySupervisor.start({
    ...{ settings, comfy, clock: systemClock, log, environment: {} },
  });
  return {
    supervisor,
    comfy,
    log,
    lines,
    /** Resolves when the status of ComfyUI is this one. */
    until: async (status: ComfySupervisor['health']['status']) => {
      while (supervisor.health.status !== status)
        await new Promise<void>((changed) => {
          const stop = supervisor.health.onChange(() => {
            stop();
            changed();
          });
        });
    },
    [Symbol.asyncDispose]: () => supervisor[Symbol.asyncDispose](),
  };
}

export const isRunning = processExists;
