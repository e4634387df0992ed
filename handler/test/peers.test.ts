import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Server, type IncomingMessage } from 'node:http';
import { expect, test } from '@jest/globals';
import { startCliRig } from '../../lib/cli/test-cli.ts';
import { reportUnhealthy } from '../../lib/queues/runpod/ping.ts';
import { startHook } from '../../lib/api/test-api.ts';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { startAzureSimulator } from '../../lib/simulator/stand-ins/azure.ts';
import { startFileServer } from '../../lib/simulator/stand-ins/files.ts';
import { startHubSimulator } from '../../lib/simulator/stand-ins/hugging-face.ts';
import { startPutTarget } from '../../lib/simulator/stand-ins/put-target.ts';
import { startRunpodSimulator } from '../../lib/simulator/stand-ins/runpod.ts';
import { startS3Simulator } from '../../lib/simulator/stand-ins/s3.ts';
import { VERSION } from '../../lib/version.ts';
import { startApiRig } from './rigs/api-rig.ts';
import { loading, pictures, type Posted } from './rigs/test-rig.ts';

interface Seen {
  readonly host: string;
  readonly request: string;
  readonly userAgent: string | undefined;
}

/** Everything that servers of this process are asked, handshakes of websockets included. */
function watchServers() {
  const seen: Seen[] = [];
  Server.prototype.emit = function (this: Server, event: string, ...args: unknown[]) {
    if (event === 'request' || event === 'upgrade') {
      const { method, url = '', headers } = args[0] as IncomingMessage;
      const { host = '', 'user-agent': userAgent } = headers;
      seen.push({ host, request: `${event === 'upgrade' ? event : method} ${url}`, userAgent });
    }
    return EventEmitter.prototype.emit.call(this, event, ...args);
  };
  return { seen, [Symbol.dispose]: () => void Reflect.deleteProperty(Server.prototype, 'emit') };
}

/** All kinds of servers a worker talks to. */
async function startPeers() {
  const parts = new AsyncDisposableStack();
  const content = await readFile('test_resources/images/paper-boat.png');
  const peers = {
    comfy: parts.use(await startComfySimulator({ speed: Infinity })),
    platform: parts.use(await startRunpodSimulator({ pingIntervalMs: 1000 })),
    files: parts.use(await startFileServer({ files: { '/a.png': { content } } })),
    s3: parts.use(await startS3Simulator({ buckets: ['own', 'theirs'] })),
    put: parts.use(await startPutTarget()),
    azure: parts.use(await startAzureSimulator({ container: 'c' })),
    hub: parts.use(await startHubSimulator({ repo: 'datasets/o/n' })),
    hook: parts.use(await startHook([204])),
  };
  const hosts = Object.fromEntries(
    Object.entries(peers).map(([name, { url }]) => [new URL(url).host, name]),
  );
  return { ...peers, hosts, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

type Peers = Awaited<ReturnType<typeof startPeers>>;

function environmentOf({ comfy, platform, s3, hosts }: Peers) {
  const allowed = Object.keys(hosts).join();
  return {
    ...platform.env,
    COMFY_URL: comfy.url,
    UPLOAD_ALLOW_PRIVATE: allowed,
    DOWNLOAD_ALLOW_PRIVATE: allowed,
    BUCKET_ENDPOINT_URL: s3.url,
    BUCKET_ACCESS_KEY_ID: s3.accessKeyId,
    BUCKET_SECRET_ACCESS_KEY: s3.secretAccessKey,
    BUCKET_NAME: 'own',
  };
}

/** Jobs with whole URLs: of an input to download, and of files to write. */
function jobsWithUrls({ files, put }: Peers) {
  const workflow = pictures();
  return [
    { workflow: loading('a.png'), images: [{ name: 'a.png', url: `${files.url}/a.png` }] },
    { workflow, output: { put: [{ url: put.signed('/one') }] } },
    { workflow, output: { put: [{ url: put.url, method: 'POST', fields: FORM }] } },
  ];
}

/** One job for each store with a base URL, below which the file gets its own. */
function jobsWithStores({ put, azure, hub, s3 }: Peers) {
  const workflow = pictures();
  return [
    { workflow, output: { http: { urlPrefix: put.signed('/folder/') } } },
    { workflow, output: { azure: { url: azure.containerUrl, accountKey: azure.accountKey } } },
    {
      workflow,
      output: {
        huggingFace: { repo: 'o/n', repoType: 'dataset', token: hub.token, hubUrl: hub.url },
      },
    },
    {
      workflow,
      s3Config: {
        accessId: s3.accessKeyId,
        accessSecret: s3.secretAccessKey,
        bucketName: 'theirs',
        endpointUrl: s3.url,
      },
    },
  ];
}

const FORM = { key: '${filename}', signature: 'good' };

/** The commands that talk to servers: doctor, a job in ComfyUI whose image is fetched from the bucket, a job on an endpoint. */
async function runCommands(
  { platform }: Peers,
  environment: Record<string, string>,
  endpoint = `${platform.url}/v2/${platform.endpointId}`,
) {
  await using desk = await startCliRig(environment);
  const job = JSON.stringify({ input: { workflow: pictures({ prefix: 'cli' }) } });
  const key = platform.env.RUNPOD_AI_API_KEY ?? '';
  return [
    await desk.run(['doctor']),
    await desk.run(['run', '-'], job),
    await desk.run(['submit', '-', '--endpoint', endpoint, '--api-key', key], job),
  ];
}

/** Ends a job of the local API that has a webhook. */
async function callWebhook({ hook }: Peers) {
  await using api = await startApiRig({ environment: { API_WEBHOOK_ALLOW_PRIVATE: 'true' } });
  const body = JSON.stringify({ input: { workflow: pictures() }, webhook: hook.url });
  await fetch(`${api.url}/run`, { method: 'POST', body });
  await hook.received.count(1);
}

test('a firewall that wants a User-Agent lets every request of the worker through', async () => {
  using watch = watchServers();
  await using peers = await startPeers();
  const { platform, hosts } = peers;
  const environment = environmentOf(peers);
  await using machine = await startCliRig(environment);
  machine.start([]);
  for (const input of [...jobsWithUrls(peers), ...jobsWithStores(peers)]) {
    const { body } = await platform.result(platform.submit(input));
    expect(body).toEqual({
      output: { images: [expect.objectContaining({ filename: expect.stringMatching(/png$/) })] },
    });
  }
  for (const { code, stderr } of await runCommands(peers, environment))
    expect({ code, stderr }).toMatchObject({ code: 0 });
  const {
    RUNPOD_WEBHOOK_PING: url,
    RUNPOD_AI_API_KEY: apiKey,
    RUNPOD_POD_ID: podId,
  } = platform.env;
  await reportUnhealthy({ url, apiKey, podId, version: VERSION }, { check: 'c', reason: 'r' });
  await callWebhook(peers);

  const seen = watch.seen.flatMap(({ host, ...request }) => {
    const peer = hosts[host];
    return peer === undefined ? [] : [{ peer, ...request }];
  });
  const isNamed = ({ userAgent = '' }) =>
    userAgent.split(' ').includes(`comfyui-worker/${VERSION}`) ||
    userAgent.startsWith('RunPod-JS-SDK/'); // sent by the SDK, which takes no other
  expect(seen.filter((request) => !isNamed(request))).toEqual([]);

  const asked = seen.map(({ peer, request }) => `${peer} ${request}`);
  for (const kind of KINDS) expect(asked).toContainEqual(expect.stringMatching(kind));
});

/** Requests that must have been seen, so that the test does not pass because something was not tried. */
const KINDS = [
  /^comfy upgrade \/ws/,
  /^comfy POST \/prompt/,
  /^comfy POST \/upload\/image/,
  /^comfy (?:GET|HEAD) \/view/,
  /^comfy GET \/system_stats/,
  /^platform GET .*\/job-take\//,
  /^platform GET .*\/job-stop\//,
  /^platform POST .*\/job-done\//,
  /^platform GET .*\/ping\/[^?]*\?(?!.*unhealthy)/,
  /^platform GET .*\/ping\/.*unhealthy/,
  /^platform HEAD \//,
  /^platform POST .*\/run/,
  /^files GET/,
  /^s3 PUT \/own/,
  /^s3 GET \/own/,
  /^s3 PUT \/theirs/,
  /^put PUT \/one/,
  /^put POST/,
  /^put PUT \/folder\/T_/,
  /^azure PUT/,
  /^hub POST/,
  /^hook POST/,
];

test('base URLs with slashes too many lead to the same places', async () => {
  using watch = watchServers();
  await using peers = await startPeers();
  const { platform, hosts } = peers;
  const environment = withMoreSlashes(environmentOf(peers));
  const endpoint = withMoreSlashes(`${platform.url}/v2/${platform.endpointId}/`);
  await using machine = await startCliRig(environment);
  machine.start([]);
  await platform.nextPing();
  const urls = withMoreSlashes(jobsWithStores(peers)).map(async (input) => {
    const { body } = await platform.result(platform.submit(input));
    return (body as Posted).output?.images?.[0]?.data;
  });
  expect(await Promise.all(urls)).toEqual([
    expect.stringContaining(`${peers.put.url}/folder/T_`),
    expect.stringContaining(`${peers.azure.containerUrl}/`),
    expect.stringContaining(`${peers.hub.url}/datasets/o/n/resolve/`),
    expect.stringContaining(`${peers.s3.url}/theirs/`),
  ]);
  for (const { code, stderr } of await runCommands(peers, environment, endpoint))
    expect({ code, stderr }).toMatchObject({ code: 0 });
  const asked = watch.seen.filter(({ host }) => hosts[host] !== undefined);
  expect(asked.filter(({ request }) => request.includes('//'))).toEqual([]);
});

/** The same with `//` after every host. */
function withMoreSlashes<T>(value: T): T {
  const text = JSON.stringify(value).replace(/(http:\/\/[\d.]+:\d+)\/?/g, '$1//');
  return JSON.parse(text) as T;
}
