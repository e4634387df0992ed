/** Copies the files of the web page next to the compiled API, which serves them. */
import { cp } from 'node:fs/promises';
import { extname, join } from 'node:path';

const PAGE = 'lib/api/page';
const SERVED = new Set(['', '.html', '.css', '.js', '.json']);

await cp(PAGE, join('dist', PAGE), {
  recursive: true,
  filter: (path) =>
    SERVED.has(extname(path)) && !path.endsWith('tsconfig.json') && path !== join(PAGE, 'test'),
});
