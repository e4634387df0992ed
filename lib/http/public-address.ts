import { lookup as resolveHost, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector } from 'undici';

/**
 * Requests to addresses that callers name, kept away from what only this machine can reach: itself, its neighbours, and
 * the metadata services of clouds. The address that is checked is the one connected to, so that a name which resolves
 * differently the second time gains nothing.
 */

/** Whether an IP address belongs to the open internet. Anything that is no IP address does not. */
export function isPublicAddress(address: string): boolean {
  const ip = withoutZone(address);
  switch (isIP(ip)) {
    case 4:
      return !RESERVED.check(ip, 'ipv4');
    case 6:
      return GLOBAL.check(ip, 'ipv6') && !RESERVED.check(ip, 'ipv6');
    default:
      return false;
  }
}

export interface PublicAgentOptions extends Agent.Options {
  /** Servers that may be connected to wherever they are: exactly these, as `host:port` in lower case. */
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
      if (allow.includes(addressOfServer(target))) connectAnywhere(target, callback);
      // An address needs no lookup, so it would never be checked there.
      else if (isIP(host) !== 0 && !isPublicAddress(host)) {
        callback(privateAddress(host, [host]), null);
      } else connect(target, callback);
    },
  });
}

/**
 * The same for libraries that connect by Node's own http: what resolves names for them. Undefined: Node may, as the server is
 * allowed.
 * @throws an error with the code `EPRIVATE` when `url` names a private address, which nothing would resolve.
 */
export function publicLookupFor(url: URL, allow: readonly string[]): LookupFunction | undefined {
  const host = withoutBrackets(url.hostname);
  if (allow.includes(addressOfServer(url))) return undefined;
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw privateAddress(host, [host]);
  return lookupPublic;
}

type Server = Pick<buildConnector.Options, 'hostname' | 'port' | 'protocol'>;

function addressOfServer({ hostname, port, protocol }: Server): string {
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`;
}

/** A name of which any address is private is refused as a whole: which one is taken is not ours to choose. */
const lookupPublic: LookupFunction = (hostname, options, callback) => {
  resolveHost(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) callback(error, []);
    else if (!addresses.every(({ address }) => isPublicAddress(address))) {
      callback(privateAddress(hostname, addresses.map(addressOf)), []);
    } else answer(addresses, options.all === true, callback);
  });
};

function answer(
  addresses: readonly LookupAddress[],
  all: boolean,
  callback: Parameters<LookupFunction>[2],
): void {
  const [first] = addresses;
  if (all) callback(null, [...addresses]);
  else if (first) callback(null, first.address, first.family);
  else callback(new Error('The name has no address'), []);
}

const addressOf = ({ address }: LookupAddress): string => address;

function privateAddress(host: string, addresses: readonly string[]): Error {
  const shown = addresses.includes(host) ? host : `${host} (${addresses.join(', ')})`;
  const error = new Error(`${shown} is not a public address; only public ones are connected to`);
  return Object.assign(error, { code: 'EPRIVATE' });
}

const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');
const withoutZone = (address: string): string => address.replace(/%.*$/, '');

/** Of IPv6, only this is given out to the internet (RFC 4291, IANA's registry). */
const GLOBAL = new BlockList();
GLOBAL.addSubnet('2000::', 3, 'ipv6');

/**
 * IANA's special-purpose registries, without what is reachable globally. `::ffff:0:0/96` needs no line: it is outside
 * of `2000::/3`, and so are loopback, link-local, unique local and multicast.
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
