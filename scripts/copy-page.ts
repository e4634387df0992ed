/** Puts the files of the web page beside the compiled API: they are served as they are. */
import { cp, readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';

const PAGE = 'lib/api/page';
const SERVED = new Set(['.html', '.css', '.js', '.json']);

const names = (await readdir(PAGE)).filter(
  (name) => SERVED.has(extname(name)) && name !== 'tsconfig.json',
);
await Promise.all(names.map((name) => cp(join(PAGE, name), join('dist', PAGE, name))));
