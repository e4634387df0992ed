import { createHmac, timingSafeEqual } from 'node:crypto';
import type { StoreRequest } from '../store-server.ts';

/** An account of Azure Storage. */
export interface Account {
  readonly name: string;
  /** base64 */
  readonly key: string;
}

/**
 * Whether the owner of the key has signed a request, by `Authorization: SharedKey` or by a SAS in the URL. Written from
 * Microsoft's "Authorize with Shared Key" and "Create a service SAS", so that nothing is shared with what it judges.
 */
export function isAuthorized(request: StoreRequest, account: Account, nowMs: number): boolean {
  const { query, headers } = request;
  if (query.has('sig')) return isSasGood(request, account, nowMs);
  const expected = `SharedKey ${account.name}:${sign(textOfRequest(request, account), account)}`;
  return isSame(headers.authorization ?? '', expected);
}

/** A SAS for a container, as its owner would hand it out. */
export function makeSas(account: Account, container: string, permissions: string): string {
  const sas = new URLSearchParams({
    sv: '2022-11-02',
    se: '2100-01-01T00:00:00Z',
    sr: 'c',
    sp: permissions,
  });
  const resource = `/blob/${account.name}/${container}`;
  sas.set('sig', sign(textOfSas(sas, resource), account));
  return sas.toString();
}

/** Method, eleven standard headers, the `x-ms-` headers in order, account and path, and the query in order. */
function textOfRequest({ method, path, query, headers }: StoreRequest, account: Account): string {
  const length = headers['content-length'] === '0' ? '' : (headers['content-length'] ?? '');
  const standard = STANDARD_HEADERS.map((name) => String(headers[name] ?? ''));
  const own = Object.keys(headers)
    .filter((name) => name.startsWith('x-ms-'))
    .sort()
    .map((name) => `${name}:${String(headers[name])}`);
  const parameters = [...query.keys()]
    .sort()
    .map((name) => `\n${name}:${query.getAll(name).join(',')}`);
  const lines = [method, ...standard.slice(0, 2), length, ...standard.slice(2), ...own];
  return `${lines.join('\n')}\n/${account.name}${path}${parameters.join('')}`;
}

const STANDARD_HEADERS = [
  'content-encoding',
  'content-language',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
] as const;

function isSasGood(
  { method, path, query }: StoreRequest,
  account: Account,
  nowMs: number,
): boolean {
  const [, container = '', ...blob] = decodeURIComponent(path)
    .slice(account.name.length + 1)
    .split('/');
  const whole = `/blob/${account.name}/${container}`;
  const resource = query.get('sr') === 'c' ? whole : `${whole}/${blob.join('/')}`;
  const expected = sign(textOfSas(query, resource), account);
  const right = method === 'GET' || method === 'HEAD' ? 'r' : 'w';
  const isInTime = Date.parse(query.get('se') ?? '') > nowMs;
  const isAllowed = query.get('sp')?.includes(right) === true;
  return isInTime && isAllowed && isSame(query.get('sig') ?? '', expected);
}

function textOfSas(sas: URLSearchParams, resource: string): string {
  const at = (name: string) => sas.get(name) ?? '';
  return [
    ...['sp', 'st', 'se'].map(at),
    resource,
    ...['si', 'sip', 'spr', 'sv', 'sr', 'snapshot', 'ses'].map(at),
    ...['rscc', 'rscd', 'rsce', 'rscl', 'rsct'].map(at),
  ].join('\n');
}

function sign(text: string, { key }: Account): string {
  return createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
