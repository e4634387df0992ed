import { lookup as resolveHost } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector } from 'undici';

/**
 * Requests to addresses that callers name must not reach the worker's own network: the worker itself, its neighbours, the
 * metadata services of clouds. The address that is checked is the address that is connected to; a name that resolves
 * differently the second time (DNS rebinding) gains nothing.
 */

/** Refusals of hosts that are not public, for texts such as `the host is ...`. They do not tell what a name resolves to. */
export const NOT_PUBLIC = {
  download:
    'not on the public internet, and only public addresses are fetched from; the operator can allow a server with DOWNLOAD_ALLOW_PRIVATE',
  upload:
    'not on the public internet, and only public addresses are uploaded to; the operator can allow a server with UPLOAD_ALLOW_PRIVATE',
} as const;

/** Whether an IP address belongs to the open internet. False for text that is not an IP address. */
export function isPublicAddress(address: string): boolean {
  const ip = address.replace(/%.*$/, ''); // without the zone of a link-local address
  switch (isIP(ip)) {
    case 4:
      return !RESERVED.check(ip, 'ipv4');
    case 6:
      return GLOBAL.check(ip, 'ipv6') && !RESERVED.check(ip, 'ipv6');
    default:
      return false;
  }
}

/** Whether `host` is an IP address that is not public. A name has to be resolved first; for it the answer is false. */
export function isPrivateAddress(host: string): boolean {
  const address = withoutBrackets(host);
  return isIP(address) !== 0 && !isPublicAddress(address);
}

/** Whether `host`, a name or an address, means this machine. Names are not resolved. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
}

export interface PublicAgentOptions extends Agent.Options {
  /** Servers that are connected to even if they are private: exactly these, as `host:port` in lower case. */
  readonly allow?: readonly string[];
}

/** An undici agent that connects to public addresses only; every redirect and every new connection is checked again. */
export function createPublicAgent({ allow = [], ...options }: PublicAgentOptions = {}): Agent {
  const connect = buildConnector({ timeout: CONNECT_MS, lookup: lookupPublic });
  const connectAnywhere = buildConnector({ timeout: CONNECT_MS });
  return new Agent({
    ...options,
    connect: (target, callback) => {
      const host = withoutBrackets(target.hostname);
      if (allow.includes(serverOf(target))) connectAnywhere(target, callback);
      // An IP address needs no lookup, so the lookup would never check it.
      else if (isPrivateAddress(host)) {
        callback(notPublicError(host, [host]), null);
      } else connect(target, callback);
    },
  });
}

/**
 * The same for libraries that use Node's own http: the `lookup` function to give them. Undefined when the server is in
 * `allow`, so that Node's own lookup may be used.
 * @throws an error with the code `EPRIVATE` when the host of `url` is a private IP address: no lookup would see it.
 */
export function publicLookupFor(url: URL, allow: readonly string[]): LookupFunction | undefined {
  const host = withoutBrackets(url.hostname);
  if (allow.includes(serverOf(url))) return undefined;
  if (isPrivateAddress(host)) throw notPublicError(host, [host]);
  return lookupPublic;
}

/** `host:port`, as the lists of allowed servers have it. */
function serverOf({
  hostname,
  port,
  protocol,
}: Pick<buildConnector.Options, 'hostname' | 'port' | 'protocol'>): string {
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`;
}

/** Refuses a name when any of its addresses is private, because Node chooses which of them it connects to. */
const lookupPublic: LookupFunction = (hostname, options, callback) => {
  resolveHost(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) {
      callback(error, []);
      return;
    }
    if (!addresses.every(({ address }) => isPublicAddress(address))) {
      callback(
        notPublicError(
          hostname,
          addresses.map(({ address }) => address),
        ),
        [],
      );
      return;
    }
    const [first] = addresses;
    if (options.all === true) callback(null, addresses);
    else if (first) callback(null, first.address, first.family);
    else callback(new Error('The name has no address'), []);
  });
};

function notPublicError(host: string, addresses: readonly string[]): Error {
  const shown = addresses.includes(host) ? host : `${host} (${addresses.join(', ')})`;
  const error = new Error(`${shown} is not a public address; only public ones are connected to`);
  return Object.assign(error, { code: 'EPRIVATE' });
}

const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');

/** The only IPv6 addresses assigned to the internet (RFC 4291, IANA's registry). */
const GLOBAL = new BlockList();
GLOBAL.addSubnet('2000::', 3, 'ipv6');

/**
 * IANA's special-purpose registries, without the globally reachable entries. `::ffff:0:0/96`, loopback, link-local, unique
 * local and multicast need no entry: they are outside of `2000::/3`.
 */
const RESERVED = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8], // this host
  ['10.0.0.0', 8], // private
  ['100.64.0.0', 10], // shared by a carrier's customers
  ['127.0.0.0', 8], // loopback
  ['169.254.0.0', 16], // link-local; metadata services
  ['172.16.0.0', 12], // private
  ['192.0.0.0', 24], // protocol assignments
  ['192.0.2.0', 24], // documentation
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16], // private
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved; broadcast
] as const) {
  RESERVED.addSubnet(net, bits, 'ipv4');
}
for (const [net, bits] of [
  ['2001::', 23], // protocol assignments, Teredo among them: it carries IPv4 addresses
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4: carries IPv4 addresses
  ['3fff::', 20], // documentation
] as const) {
  RESERVED.addSubnet(net, bits, 'ipv6');
}

const CONNECT_MS = 10_000;
