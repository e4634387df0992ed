/**
 * Packs the built worker (`dist`) for the image: one bundle that starts twice as fast from a cold disk, and only the files it
 * reads besides. Usage: pack-worker.ts FOLDER
 */
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { build, type BuildOptions, type Plugin } from 'esbuild';

const folder = resolve(process.argv[2] ?? 'worker');
const root = process.cwd();

/** Packages with native code, and those that modules in `WORKFLOWS_DIR` may import. They are copied, not bundled. */
const COPIED = ['sharp', 'zod'];

/** Files that bundled packages read from their folders. */
const READ_AT_RUN_TIME = ['node_modules/@fastify/swagger-ui/static'];

/** A bundled file believes that it is still at its old place, because it finds its data, threads and pages from there. */
const keepPlaces: Plugin = {
  name: 'keep places',
  setup: (bundler) => {
    bundler.onLoad({ filter: /\.[cm]?js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      if (!/import\.meta\.url|\b__dirname\b|\b__filename\b/.test(source)) return undefined;
      const place = `new URL(${JSON.stringify(`../${relative(root, path).split(sep).join('/')}`)}, BUNDLE_URL)`;
      const contents = source
        .replaceAll('import.meta.url', `${place}.href`)
        .replaceAll(/\b__dirname\b/g, `TO_PATH(new URL('.', ${place}))`)
        .replaceAll(/\b__filename\b/g, `TO_PATH(${place})`);
      return { contents, loader: 'js' };
    });
  },
};

const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  external: COPIED,
  legalComments: 'linked',
  plugins: [keepPlaces],
  logLevel: 'warning',
} as const satisfies BuildOptions;

/** `up` leads from the bundle's folder to the folder that stands for `bundle/`. */
const banner = (up: string) => ({
  js: [
    "import { createRequire as CREATE_REQUIRE } from 'node:module';",
    "import { fileURLToPath as TO_PATH } from 'node:url';",
    `const BUNDLE_URL = new URL('${up}bundle/index.js', import.meta.url).href;`,
    'const require = CREATE_REQUIRE(BUNDLE_URL);',
  ].join('\n'),
});

await build({
  ...common,
  entryPoints: { index: 'dist/handler/index.js' },
  splitting: true,
  outdir: join(folder, 'bundle'),
  banner: banner('../'),
});

await copyDist();

// A thread starts from a file of its own, at its old place.
for (const thread of globSync('dist/**/*-thread.js')) {
  const up = '../'.repeat(thread.split(sep).length - 1);
  await build({
    ...common,
    entryPoints: [thread],
    outfile: join(folder, thread),
    banner: banner(up),
  });
}

for (const path of READ_AT_RUN_TIME) await cp(path, join(folder, path), { recursive: true });
for (const name of COPIED) await copyPackage(name);
await cp('package.json', join(folder, 'package.json'));
await cp('LICENSE', join(folder, 'LICENSE'));

/** Pages and data; the modules are there because the page imports some of them. */
function copyDist(): Promise<void> {
  return cp('dist', join(folder, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.map'),
  });
}

/** Copies an installed package and what it needs on this platform, without types, sources and maps. */
async function copyPackage(name: string): Promise<void> {
  const from = join('node_modules', name);
  const to = join(folder, from);
  const text = await readFile(join(from, 'package.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return; // optional, for another platform
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(text) as {
    readonly dependencies?: Record<string, string>;
    readonly optionalDependencies?: Record<string, string>;
  };
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, {
    recursive: true,
    filter: (path) =>
      !/(?:\.d\.[cm]?ts|\.[cm]?ts|\.map|\.md)$|\/src(?:\/|$)/.test(relative(from, path)),
  });
  for (const needed of Object.keys({ ...dependencies, ...optionalDependencies }))
    if (!needed.includes('musl')) await copyPackage(needed);
}

/** The command of the image. */
const COMMAND = `#!/bin/sh
exec /opt/comfyui-worker/bin/node --disable-warning=ExperimentalWarning /opt/comfyui-worker/bundle/index.js "$@"
`;
await mkdir(join(folder, 'bin'), { recursive: true });
await writeFile(join(folder, 'bin/comfyui-worker'), COMMAND);
await chmod(join(folder, 'bin/comfyui-worker'), 0o755);
