/** Said of what callers name; nothing is told of what a name resolves to within the worker's network. */
export const NOT_PUBLIC =
  'not on the public internet, and only public addresses are uploaded to; the operator can allow a server with UPLOAD_ALLOW_PRIVATE';
