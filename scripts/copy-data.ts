/** Copies files that are read at run time next to the compiled code: the web page, and data of the embedded ComfyUI. */
import { cp } from 'node:fs/promises';
import { extname, join } from 'node:path';

const PAGE = 'lib/api/page';
const SERVED = new Set(['', '.html', '.css', '.js', '.json']);

await cp(PAGE, join('dist', PAGE), {
  recursive: true,
  filter: (path) =>
    SERVED.has(extname(path)) && !path.endsWith('tsconfig.json') && path !== join(PAGE, 'test'),
});

const RECORDED = 'lib/simulator/comfy/nodes/recorded';

for (const file of ['classes.json', 'models.json']) {
  await cp(join(RECORDED, file), join('dist', RECORDED, file));
}
