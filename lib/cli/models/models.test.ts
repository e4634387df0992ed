import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { lockFile, lockPathOf } from '../../models/fetch/file-lock.ts';
import { pieceBytes } from '../../models/fetch/pieces.ts';
import { downloadWithKills } from '../../models/test-kills.ts';
import { readManifest } from '../../models/manifest/read-manifest.ts';
import { never, safetensors } from '../../models/test-models.ts';
import { startFileServer } from '../../simulator/stand-ins/files.ts';
import { startCliRig } from '../test-cli.ts';

const MIB = 1024 * 1024;
const MODEL = safetensors(3 * MIB);
const SHA256 = createHash('sha256').update(MODEL).digest('hex');
const COMMIT = '0123456789'.repeat(4);

/** A hub with one model, behind a redirect. */
async function startHub() {
  const headers = { 'x-repo-commit': COMMIT, 'x-linked-etag': `"${SHA256}"` };
  const redirect = { to: '/blob', headers };
  return await startFileServer({
    files: {
      '/blob': { content: MODEL },
      '/me/repo/resolve/main/a.safetensors': { redirect },
      [`/me/repo/resolve/${COMMIT}/a.safetensors`]: { redirect },
    },
  });
}

test('a manifest is locked, pulled, listed and verified', async () => {
  await using hub = await startHub();
  await using cli = await startCliRig({ HF_ENDPOINT: hub.url });
  const manifest = join(cli.folder, 'manifest.yaml');
  const models = join(cli.folder, 'models');
  const url = `${hub.url}/me/repo/resolve/main/a.safetensors`;
  const places = ['--manifest', manifest, '--models', models];
  await writeFile(manifest, `models:\n  before_start:\n    - {url: "${url}", folder: loras}\n`);

  expect(await cli.runHere(['manifest', 'lock', ...places])).toMatchObject({ code: 0 });
  const locked = await readFile(join(cli.folder, 'manifest.lock.yaml'), 'utf8');
  expect(locked).toContain(`commit: "${COMMIT}"`);
  expect(locked).toContain(SHA256);

  expect((await cli.runHere(['models', 'list', ...places])).stdout).toContain('missing');
  expect(await cli.runHere(['models', 'verify', ...places])).toMatchObject({ code: 1 });
  const pulled = await cli.runHere(['models', 'pull', ...places]);
  expect(pulled).toMatchObject({ code: 0 });
  expect(pulled.stderr).toContain('fetched   loras/a.safetensors');
  const paths = hub.requests.map(({ path }) => path);
  expect(paths).toContain(`/me/repo/resolve/${COMMIT}/a.safetensors`); // not that of the branch
  expect((await cli.runHere(['models', 'list', ...places])).stdout).toMatch(/manifest +loras\/a/);
  expect(await cli.runHere(['models', 'verify', ...places])).toMatchObject({ code: 0 });

  await writeFile(join(models, 'loras/a.safetensors'), Buffer.alloc(MODEL.length));
  const broken = await cli.runHere(['models', 'verify', ...places]);
  expect([broken.code, broken.stderr]).toEqual([1, expect.stringContaining('its SHA-256 is')]);
});

test('one model is pulled into its folder; another that fails gives exit code 1', async () => {
  await using hub = await startHub();
  await using cli = await startCliRig();
  const pull = (path: string) =>
    cli.runHere(['models', 'pull', hub.url + path, '--folder', 'vae', '--models', cli.folder]);
  expect(await pull('/me/repo/resolve/main/a.safetensors')).toMatchObject({ code: 0 });
  expect(await readdir(join(cli.folder, 'vae'))).toEqual(['a.safetensors']);
  expect(await pull('/missing.safetensors')).toMatchObject({ code: 1 });
  expect(await cli.runHere(['models', 'pull', hub.url, '--folder', '../x'])).toMatchObject({
    code: 2,
  });
});

test('prune removes leftovers, and only with --unlisted other models', async () => {
  await using cli = await startCliRig();
  const manifest = join(cli.folder, 'manifest.yaml');
  await writeFile(manifest, 'models: {before_start: [], after_start: []}');
  const models = join(cli.folder, 'models');
  await mkdir(join(models, 'vae'), { recursive: true });
  for (const name of ['a.ckpt', 'b.ckpt.part', 'b.ckpt.part.journal', 'notes.txt'])
    await writeFile(join(models, 'vae', name), 'x');
  const prune = (...more: string[]) =>
    cli.runHere(['models', 'prune', '--manifest', manifest, '--models', models, ...more]);
  await prune('--dry-run');
  expect(await readdir(join(models, 'vae'))).toHaveLength(4);
  await prune();
  expect(await readdir(join(models, 'vae'))).toEqual(['a.ckpt', 'notes.txt']);
  await prune('--unlisted');
  expect(await readdir(join(models, 'vae'))).toEqual(['notes.txt']);
});

test('prune leaves a running download alone', async () => {
  await using cli = await startCliRig();
  await writeFile(join(cli.folder, 'a.ckpt.part'), 'x');
  const prune = () => cli.runHere(['models', 'prune', '--models', cli.folder]);
  {
    await using _running = await lockFile(lockPathOf(join(cli.folder, 'a.ckpt')), never);
    expect((await prune()).stderr).toContain('it is being downloaded');
    expect(await readdir(cli.folder)).toContain('a.ckpt.part');
  }
  await prune();
  expect(await readdir(cli.folder)).not.toContain('a.ckpt.part');
});

test('a manifest is made from a workflow of the editor, with revision and hash of the hub', async () => {
  await using hub = await startHub();
  await using cli = await startCliRig({ HF_ENDPOINT: hub.url });
  const url = `${hub.url}/me/repo/resolve/main/a.safetensors`;
  const model = { name: 'a.safetensors', url, directory: 'checkpoints' };
  const node = { id: 1, type: 'CheckpointLoaderSimple', properties: { models: [model] } };
  const workflow = join(cli.folder, 'workflow.json');
  await writeFile(workflow, JSON.stringify({ nodes: [node], links: [] }));
  const manifest = join(cli.folder, 'm.yaml');
  const init = ['manifest', 'init', workflow, '--manifest', manifest];
  expect(await cli.runHere(init)).toMatchObject({ code: 0 });
  const text = await readFile(manifest, 'utf8');
  for (const part of [COMMIT, SHA256, 'folder: checkpoints', 'filename: a.safetensors'])
    expect(text).toContain(part);
  expect(await cli.runHere(init)).toMatchObject({ code: 2 }); // it is not overwritten
});

test('a snapshot of ComfyUI-Manager gives its node packs; what else it has is said', async () => {
  await using cli = await startCliRig();
  const snapshot = join(cli.folder, 'snapshot.json');
  const manifest = join(cli.folder, 'm.yaml');
  const content = {
    comfyui: COMMIT,
    git_custom_nodes: {
      'https://example.org/a.git': { hash: COMMIT, disabled: false },
      'https://example.org/off.git': { hash: COMMIT, disabled: true },
    },
    cnr_custom_nodes: { 'comfyui-gguf': '1.1.0' },
    file_custom_nodes: [],
    pips: { 'numpy==2.0.0': '' },
  };
  await writeFile(snapshot, JSON.stringify(content));
  const { code, stderr } = await cli.runHere([
    'manifest',
    'init',
    snapshot,
    '--manifest',
    manifest,
  ]);
  expect(code).toBe(0);
  expect(stderr).toContain(`ComfyUI at ${COMMIT}: the one that is installed stays`);
  expect(stderr).toContain('1 Python packages');
  expect(stderr).not.toContain('single files');
  const text = await readFile(manifest, 'utf8');
  for (const part of ['example.org/a.git', COMMIT, 'comfyui-gguf', '1.1.0'])
    expect(text).toContain(part);
  expect(text).not.toContain('off.git');
});

test('node packs of an installed ComfyUI are taken over with their commits, and installed again', async () => {
  await using cli = await startCliRig({ VIRTUAL_ENV: '/nonexistent' });
  const origin = join(cli.folder, 'origin', 'Some-Pack');
  await mkdir(origin, { recursive: true });
  const git = (cwd: string, ...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...words], {
      cwd,
    }).toString();
  git(origin, 'init', '--quiet');
  await writeFile(join(origin, '__init__.py'), 'NODE_CLASS_MAPPINGS = {}');
  git(origin, 'add', '.');
  git(origin, 'commit', '--quiet', '-m', 'one');
  const head = git(origin, 'rev-parse', 'HEAD').trim();
  const comfy = join(cli.folder, 'ComfyUI');
  await mkdir(join(comfy, 'custom_nodes'), { recursive: true });
  git(join(comfy, 'custom_nodes'), 'clone', '--quiet', `file://${origin}`, 'Some-Pack');

  const manifest = join(cli.folder, 'm.yaml');
  expect(await cli.runHere(['manifest', 'init', comfy, '--manifest', manifest])).toMatchObject({
    code: 0,
  });
  expect(await readFile(manifest, 'utf8')).toContain(head);

  const other = join(cli.folder, 'other');
  await mkdir(join(other, 'custom_nodes'), { recursive: true });
  const applied = await cli.runHere([
    'manifest',
    'apply',
    '--manifest',
    manifest,
    '--comfy',
    other,
  ]);
  expect(applied).toMatchObject({ code: 0 });
  expect(await readdir(join(other, 'custom_nodes'))).toEqual(['Some-Pack']);
  expect(await readdir(join(other, 'custom_nodes/Some-Pack'))).toContain('__init__.py');
});

test('models that nobody tells the URL of are comments in the manifest', async () => {
  await using cli = await startCliRig();
  const manifest = join(cli.folder, 'm.yaml');
  const init = (from: string, ...more: string[]) =>
    cli.runHere(['manifest', 'init', join(cli.folder, from), '--manifest', manifest, ...more]);
  await mkdir(join(cli.folder, 'empty'));
  expect((await init('empty')).stderr).toContain('neither custom_nodes nor models');

  const comfy = join(cli.folder, 'ComfyUI');
  await mkdir(join(comfy, 'models/loras/style'), { recursive: true });
  await writeFile(join(comfy, 'models/loras/style/a.safetensors'), MODEL);
  const pack = join(comfy, 'custom_nodes/from-the-registry');
  await mkdir(pack, { recursive: true });
  await writeFile(join(pack, '.tracking'), '');
  await writeFile(join(pack, 'pyproject.toml'), '[project]\nname = "a-pack"\nversion = "1.2.3"\n');
  expect((await init('ComfyUI')).stderr).toContain('Models without a known URL: 1');
  expect((await readManifest(manifest)).custom_nodes).toEqual([
    { name: 'a-pack', version: '1.2.3' },
  ]);
  const text = await readFile(manifest, 'utf8');
  const entry = text.slice(text.indexOf('#   - url')).replaceAll(/^#/gm, ' ');
  const filled = entry.replace('"?"', 'https://hub.example/a.safetensors');
  await writeFile(manifest, `models:\n  after_start: []\n  before_start:\n${filled}`);
  expect((await readManifest(manifest)).models.before_start).toEqual([
    {
      ...{ url: 'https://hub.example/a.safetensors', folder: 'loras/style' },
      ...{ filename: 'a.safetensors', sha256: SHA256, size: MODEL.length },
    },
  ]);

  const workflow = { '4': { class_type: 'UNETLoader', inputs: { unet_name: 'sub/b.gguf' } } };
  await writeFile(join(cli.folder, 'api.json'), JSON.stringify(workflow));
  expect((await init('api.json', '--force')).stderr).toContain('where sub/b.gguf comes from');
  expect(await readFile(manifest, 'utf8')).toContain(
    '#   - url: "?"\n#     folder: ?/sub\n#     filename: b.gguf\n',
  );
});

test('a workflow of the editor gives its node packs: packages of the registry, and repositories at their commits', async () => {
  await using cli = await startCliRig();
  const properties = [
    { cnr_id: 'comfy-core', ver: '0.3.40' },
    { cnr_id: 'comfyui-kjnodes', ver: '1.0.5' },
    { cnr_id: 'comfyui-kjnodes', ver: '1.0.5' },
    { cnr_id: 'nightly-pack', ver: COMMIT },
    { aux_id: 'me/Some-Pack', ver: COMMIT },
    { aux_id: 'me/unknown-commit' },
  ];
  const nodes = properties.map((one, id) => ({ id, type: 'A', properties: one }));
  const workflow = join(cli.folder, 'w.json');
  const manifest = join(cli.folder, 'm.yaml');
  await writeFile(workflow, JSON.stringify({ nodes, links: [] }));
  await cli.runHere(['manifest', 'init', workflow, '--manifest', manifest]);
  expect((await readManifest(manifest)).custom_nodes).toEqual([
    { name: 'comfyui-kjnodes', version: '1.0.5' },
    { name: 'nightly-pack' },
    { url: 'https://github.com/me/Some-Pack', ref: COMMIT },
  ]);
});

test('a list without models says where it looked', async () => {
  await using cli = await startCliRig();
  const { code, stdout, stderr } = await cli.runHere(['models', 'list', '--models', cli.folder]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toContain(`No models in ${cli.folder}`);
});

test('a manifest with mistakes is refused with all of them', async () => {
  await using cli = await startCliRig();
  const manifest = join(cli.folder, 'm.yaml');
  await writeFile(
    manifest,
    'pip: ["--evil"]\nmodles: {}\nmodels: {before_start: [{url: nope, folder: ../up}], after_start: []}\n',
  );
  const { code, stderr } = await cli.runHere(['models', 'pull', '--manifest', manifest]);
  expect(code).toBe(2);
  for (const part of ['pip[0]', 'modles', 'models.before_start[0].url', 'before_start[0].folder'])
    expect(stderr).toContain(part);
});

test('a pull that is killed again and again gets the right bytes, and fetches at most a piece per connection and kill twice', async () => {
  const model = safetensors(24 * MIB);
  const file = { content: model, fault: { kind: 'slow', bytesPerSecond: 4 * MIB } } as const;
  await using server = await startFileServer({ files: { '/m.safetensors': file } });
  const [connections, kills] = [4, 5];
  await using cli = await startCliRig({ MODEL_CONNECTIONS: String(connections) });
  const sha256 = server.sha256('/m.safetensors');
  const args = ['models', 'pull', `${server.url}/m.safetensors`, '--folder', 'vae'];
  const pull = () => cli.start([...args, '--sha256', sha256, '--models', cli.folder]);
  const { requested } = await downloadWithKills(pull, { server, bytes: model.length, kills });
  const pulled = await readFile(join(cli.folder, 'vae/m.safetensors'));
  expect(createHash('sha256').update(pulled).digest('hex')).toBe(sha256);
  const piece = pieceBytes(model.length, connections);
  expect(requested).toBeLessThanOrEqual(model.length + kills * connections * piece);
}, 120_000); // six processes start
