import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ComfyOptions } from '../../lib/cli/context.ts';
import { invalidConfig } from '../../lib/config.ts';
import { describeError } from '../../lib/errors.ts';
import { simulatedModels } from '../../lib/simulator/comfy/nodes/registry.ts';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';

/**
 * Serves the embedded ComfyUI until told to stop. @returns the exit code.
 * @throws WorkerError `config.invalid` when it cannot listen, or when there is no editor to serve.
 */
export async function serveComfy(options: ComfyOptions): Promise<number> {
  const { host = '127.0.0.1', port = 8188, frontEndRoot, folder, version } = options;
  const stop = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  const root = frontEndRoot === undefined ? undefined : await findEditor(frontEndRoot);
  await using comfy = await startComfySimulator({
    host,
    port,
    models: await simulatedModels(),
    ...(root !== undefined && { frontEndRoot: root }),
    ...(folder !== undefined && { folder: resolve(folder) }),
    ...(version !== undefined && { version }),
  }).catch((error: unknown) => {
    throw invalidConfig([
      `The embedded ComfyUI cannot listen on ${host}:${port}: ${describeError(error)}; choose another with --port or --host`,
    ]);
  });
  process.stderr.write(`ComfyUI   ${comfy.url}   embedded, simulated: real protocol, no models\n`);
  process.stderr.write(`Files     ${resolve(comfy.folders.input, '..')}\n`);
  if (root !== undefined) process.stderr.write(`Editor    ${root}\n`);
  await stop;
  return 0;
}

/** The folder of the editor's build, absolute. */
async function findEditor(folder: string): Promise<string> {
  const root = resolve(folder);
  const page = await stat(join(root, 'index.html')).catch(() => undefined);
  if (page?.isFile()) return root;
  throw invalidConfig([
    `--front-end-root ${folder} has no index.html; unpack the package comfyui-frontend-package and name its folder "static"`,
  ]);
}
