import type { IncomingHttpHeaders } from 'node:http';

/**
 * Whether a browser's page may not use this server: `Host` is a loopback name and `Origin` another host. A side without
 * a port is compared by name only; `Origin: null` and other hosts pass.
 */
export function isForeignOrigin({ host, origin }: IncomingHttpHeaders): boolean {
  if (!host || !origin || !URL.canParse(origin)) return false;
  const [ours, theirs] = [new URL(`http://${host}`), new URL(origin)];
  if (!isLoopback(ours.hostname)) return false;
  if (ours.hostname !== theirs.hostname) return true;
  return ours.port !== '' && theirs.port !== '' && ours.port !== theirs.port;
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '[::1]' || /^127(?:\.\d+){3}$/.test(name);
}
