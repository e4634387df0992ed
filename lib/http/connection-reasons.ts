/** What errors of connections mean to a person, by the code of Node or undici; whoever sends or fetches adds its own. */
export const CONNECTION_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_CONNECT_TIMEOUT: 'the host did not take the connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'the server did not answer in time',
  EAI_AGAIN: 'the name of the host could not be resolved just now',
};
