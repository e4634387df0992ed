#!/usr/bin/env node
/*
 * The first file Node loads, and the only one that reads `process.env`. It has no static imports and no recent syntax, so
 * that an old Node can run it far enough to say which version is needed.
 */
export {};

const NEEDED_NODE = 24; // `engines` in package.json

if (Number(process.versions.node.split('.')[0]) < NEEDED_NODE) {
  process.stderr.write(
    `comfyui-worker needs Node ${NEEDED_NODE} or newer; this is Node ${process.versions.node} (${process.execPath})\n`,
  );
  process.exit(1);
}

const { enableCompileCache } = await import('node:module');
enableCompileCache(); // before all other modules: containers start noticeably faster the second time
const { main } = await import('./main.ts');
process.exit(await main({ environment: process.env, args: process.argv.slice(2) }));
