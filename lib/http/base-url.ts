/**
 * Base URLs come from people and platforms: with a slash at the end, without one, with two in the middle. Most servers
 * answer 404 to a path with an empty segment. Everything that appends to a base URL, or fills a template, does it here.
 */

/** The URL below `base` at `path`, which begins with a slash or is empty. A query of `base` stays at the end. */
export function under(base: string, path: string): string {
  const { origin, pathname, rest } = parse(base);
  return origin + collapse(`${pathname}/`).slice(0, -1) + path + rest;
}

/** The same URL, template or path without empty segments. Its last slash, query and placeholders stay as they are. */
export function withoutDoubledSlashes(url: string): string {
  const { origin, pathname, rest } = parse(url);
  return origin + collapse(pathname) + rest;
}

/** The text is split and not parsed: `URL` would change placeholders such as `$ID`. */
function parse(url: string) {
  const [, origin = '', pathname = '', rest = ''] =
    /^([a-z][a-z\d+.-]*:\/\/[^/?#]*)?([^?#]*)(.*)$/is.exec(url) ?? [];
  return { origin, pathname, rest };
}

/** A `://` within a path is that of another URL, which some proxies take there. */
const collapse = (pathname: string): string => pathname.replace(/(?<!:)\/{2,}/g, '/');
