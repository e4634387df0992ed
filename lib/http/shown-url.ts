/** A URL without what may be secret in it: user, password, query and fragment. For messages. */
export function shownUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}
