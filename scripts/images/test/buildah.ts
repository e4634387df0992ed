import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** Builds images without a Docker engine. Needs root, `buildah` and `debootstrap`. */

/** Survives runs: the Debian that stands for the base images. */
const CACHE = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  'comfyui-worker-images',
);

/** Images and containers of one run. */
const STORE = join(CACHE, 'store');

const storeArguments = (driver: string, root: string) => [
  ...['--storage-driver', driver, '--root', root, '--runroot', join(CACHE, 'run')],
];

/** With overlay no file is copied for a container; where the kernel refuses it, vfs works but copies the whole image. */
function storageDriver(): 'overlay' | 'vfs' {
  const probe = join(CACHE, 'probe');
  const { status } = spawnSync('buildah', [...storeArguments('overlay', probe), 'info']);
  rmSync(probe, { recursive: true, force: true });
  return status === 0 ? 'overlay' : 'vfs';
}

const STORE_ARGUMENTS = storeArguments(storageDriver(), STORE);

const PACKAGES =
  'python3,python3-venv,python3-distutils,git,wget,ca-certificates,tini,openssh-server,libtcmalloc-minimal4,libstdc++6';

export const BASE_IMAGE = 'localhost/debian-base';
export const NODE_IMAGE = 'localhost/debian-node';

/** Runs buildah. @returns its standard output. @throws with its output. */
export function buildah(...args: readonly string[]): string {
  return execFileSync('buildah', [...STORE_ARGUMENTS, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  }).trim();
}

/** Builds an image. @returns the exit code, and all output as one text. */
export function buildImage(
  name: string,
  args: readonly string[],
): { code: number; output: string } {
  const isolated = [
    '--isolation',
    'chroot',
    '--format',
    'docker',
    '--layers=false',
    '--pull-never',
  ];
  const { status, stdout, stderr } = spawnSync(
    'buildah',
    [...STORE_ARGUMENTS, 'build', ...isolated, '--tag', name, ...args],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  return { code: status ?? 1, output: stdout + stderr };
}

/** Imports the two base images: Debian from a cached folder, and the same with this project's Node and npm. */
export function importBaseImages(): void {
  removeStore();
  mkdirSync(STORE, { recursive: true });
  const debian = debianFolder();
  importFolder(BASE_IMAGE, debian);
  const withNode = buildah('from', '--pull-never', BASE_IMAGE);
  const root = buildah('mount', withNode);
  cpSync('node_modules/node/bin/node', join(root, 'usr/local/bin/node'));
  const npm = join(root, 'usr/local/lib/node_modules/npm');
  cpSync(npmFolder(), npm, { recursive: true });
  for (const name of ['npm', 'npx']) {
    const command = join(root, 'usr/local/bin', name);
    writeFileSync(
      command,
      `#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/${name}-cli.js "$@"\n`,
      { mode: 0o755 },
    );
  }
  buildah('commit', '--rm', withNode, NODE_IMAGE);
}

export function removeStore(): void {
  if (existsSync(STORE)) {
    spawnSync('buildah', [...STORE_ARGUMENTS, 'umount', '--all']);
    execFileSync('rm', ['-rf', STORE]); // much faster than rmSync for a whole system
  }
}

/** The folder with all files of an image, mounted; of a container that is made for it. */
export function mountImage(image: string): string {
  return buildah('mount', buildah('from', '--pull-never', image));
}

interface ImageConfig {
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly User: string;
  readonly WorkingDir: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Healthcheck?: { readonly Test: readonly string[] };
}

/** The settings of an image for its containers. */
export function imageConfig(image: string): ImageConfig {
  const inspected = JSON.parse(buildah('inspect', '--type', 'image', image)) as {
    readonly Docker: { readonly config: ImageConfig };
  };
  return inspected.Docker.config;
}

/** A minimal Debian with the packages of the image, so that the build downloads none. */
function debianFolder(): string {
  const key = createHash('sha256').update(PACKAGES).digest('hex').slice(0, 8);
  const folder = join(CACHE, `debian-${key}`);
  if (existsSync(folder)) return folder;
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  execFileSync('debootstrap', ['--variant=minbase', `--include=${PACKAGES}`, 'bookworm', part], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // Without sources, apt-get finds every package already there, and asks nobody.
  writeFileSync(join(part, 'etc/apt/sources.list'), '');
  rmSync(join(part, 'var/lib/apt/lists'), { recursive: true, force: true });
  rmSync(join(part, 'var/cache/apt'), { recursive: true, force: true });
  renameSync(part, folder);
  return folder;
}

function importFolder(image: string, folder: string): void {
  const container = buildah('from', 'scratch');
  execFileSync('cp', ['-a', `${folder}/.`, buildah('mount', container)]);
  buildah('commit', '--rm', container, image);
}

/** The npm that runs this script. */
function npmFolder(): string {
  const path = process.env.npm_execpath;
  if (path === undefined) throw new Error('Run this through npm: npm run test:images');
  const folder = resolve(dirname(path), '..');
  if (!readdirSync(folder).includes('package.json')) throw new Error(`${folder} is not npm`);
  return folder;
}
