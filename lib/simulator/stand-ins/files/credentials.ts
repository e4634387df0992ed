import type { IncomingHttpHeaders } from 'node:http';
import type { Credentials } from './served-file.ts';

/** Whether a request shows what the file needs. */
export function isAllowed(
  needs: Credentials | undefined,
  { headers, query }: { readonly headers: IncomingHttpHeaders; readonly query: URLSearchParams },
): boolean {
  switch (needs?.kind) {
    case undefined:
      return true;
    case 'bearer':
      return headers.authorization === `Bearer ${needs.token}`;
    case 'basic':
      return headers.authorization === `Basic ${btoa(`${needs.user}:${needs.password}`)}`;
    case 'header':
      return headers[needs.name.toLowerCase()] === needs.value;
    case 'query':
      return query.get(needs.name) === needs.value;
  }
}
