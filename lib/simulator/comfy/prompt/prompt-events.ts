import type { EventLog, EventType } from '../event-log.ts';
import { writeJson } from '../python/python-json.ts';
import type { StatusMessage } from './history.ts';
import type { SocketTable } from '../server/sockets.ts';

/**
 * Sends execution messages to the right sockets. The process has one current client: the `client_id` of the prompt that
 * is running or ran last. Messages for it are lost if it has no open socket.
 *
 * | message                                                 | prompt with a client | without one |
 * | ------------------------------------------------------- | -------------------- | ----------- |
 * | execution_start, _cached, _success, _error; executing, executed | that client  | nobody      |
 * | execution_interrupted, progress, progress_state, previews | that client        | all sockets |
 * | status                                                  | all sockets          | all sockets |
 */
export class PromptEvents {
  readonly #sockets: SocketTable;
  readonly #log: EventLog;
  readonly #previews: boolean;
  #clientId: unknown;
  #currentNode: string | undefined;

  constructor(sockets: SocketTable, log: EventLog, { previews }: { readonly previews: boolean }) {
    this.#sockets = sockets;
    this.#log = log;
    this.#previews = previews;
  }

  get hasClient(): boolean {
    return this.#clientId !== undefined && this.#clientId !== null;
  }

  /** The current node, for a client that reconnects while its prompt is running. */
  currentNodeFor(clientId: string): string | undefined {
    return clientId === this.#clientId ? this.#currentNode : undefined;
  }

  begin(clientId: unknown): void {
    this.#clientId = clientId ?? undefined;
  }

  status(queueRemaining: number): void {
    this.#sockets.publish(message('status', statusData(queueRemaining)));
  }

  /** Sends a message that is also kept in the history, and returns it. */
  record(
    type: RecordedType,
    promptId: string,
    data: Readonly<Record<string, unknown>> = {},
  ): StatusMessage {
    const nodeId = typeof data.node_id === 'string' ? data.node_id : undefined;
    this.#announce(type, promptId, nodeId);
    const stamp = { timestamp: Date.now() };
    const isCached = type === 'execution_cached';
    const content = isCached ? { ...data, prompt_id: promptId } : { prompt_id: promptId, ...data };
    const recorded = { ...content, ...stamp };
    if (type === 'execution_interrupted') this.#toClientOrAll(message(type, recorded));
    else this.#toClient(message(type, recorded));
    return [type, recorded];
  }

  executing(promptId: string, nodeId: string): void {
    this.#announce('executing', promptId, nodeId);
    if (this.hasClient) this.#currentNode = nodeId;
    const data = { node: nodeId, display_node: nodeId, prompt_id: promptId };
    this.#toClient(message('executing', data));
  }

  executed(promptId: string, nodeId: string, output: unknown): void {
    this.#announce('executed', promptId, nodeId);
    const data = { node: nodeId, display_node: nodeId, output, prompt_id: promptId };
    this.#toClient(message('executed', data));
  }

  /** Reports a node that did not run because of an `ExecutionBlocker`. The prompt goes on. */
  blocked(data: Readonly<Record<string, unknown>>): void {
    this.#toClientOrAll(message('execution_error', data));
  }

  progressState(progress: ProgressState): void {
    this.#toClientOrAll(message('progress_state', progress.toMessage()));
  }

  progress(step: Step, preview: Uint8Array | undefined): void {
    const { promptId, nodeId, value, max } = step;
    const picture = this.#previews || isPng(preview) ? preview : undefined;
    const withMetadata = this.hasClient && this.#sockets.supportsPreviewMetadata(this.#clientId);
    if (picture) this.#announce('preview', promptId, nodeId);
    if (picture && withMetadata) this.#toClientOrAll(describedPreview(step, picture));
    this.#announce('progress', promptId, nodeId);
    const data = { value, max, prompt_id: promptId, node: nodeId };
    this.#toClientOrAll(message('progress', data));
    if (picture && !withMetadata) this.#toClientOrAll(plainPreview(picture));
  }

  /** The end of a prompt: `executing` without a node. Its history entry exists before this is sent. */
  ended(promptId: string): void {
    this.#announce('ended', promptId);
    this.#currentNode = undefined;
    this.#toClient(message('executing', { node: null, prompt_id: promptId }));
  }

  #toClient(frame: string | Buffer): void {
    if (this.hasClient) this.#sockets.publish(frame, this.#clientId);
  }

  #toClientOrAll(frame: string | Buffer): void {
    this.#sockets.publish(frame, this.hasClient ? this.#clientId : undefined);
  }

  #announce(type: EventType, promptId: string, nodeId?: string): void {
    const clientId = typeof this.#clientId === 'string' ? { clientId: this.#clientId } : {};
    this.#log.announce(type, {
      promptId,
      ...clientId,
      ...(nodeId === undefined ? {} : { nodeId }),
    });
  }
}

/** Messages that are kept in the history. */
export type RecordedType =
  | 'execution_start'
  | 'execution_cached'
  | 'execution_success'
  | 'execution_error'
  | 'execution_interrupted';

export interface Step {
  readonly promptId: string;
  readonly nodeId: string;
  readonly value: number;
  readonly max: number;
}

export const message = (type: string, data: unknown): string => writeJson({ type, data });

export const statusData = (queueRemaining: number) => ({
  status: { exec_info: { queue_remaining: queueRemaining } },
});

/** Binary frame, type 1: image format (1 is JPEG, 2 is PNG), image. */
function plainPreview(picture: Uint8Array): Buffer {
  return Buffer.concat([uint32(1), uint32(isPng(picture) ? 2 : 1), picture]);
}

/** Previews are JPEG. A PNG is an image of the result, which is sent whether or not there are previews. */
const isPng = (picture: Uint8Array | undefined) => picture?.[0] === 0x89;

/** Binary frame, type 4: length of the metadata, metadata as JSON, image. */
function describedPreview({ promptId, nodeId }: Step, picture: Uint8Array): Buffer {
  const metadata = Buffer.from(
    writeJson({
      node_id: nodeId,
      prompt_id: promptId,
      display_node_id: nodeId,
      parent_node_id: null,
      real_node_id: nodeId,
      image_type: isPng(picture) ? 'image/png' : 'image/jpeg',
    }),
  );
  return Buffer.concat([uint32(4), uint32(metadata.length), metadata, picture]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The progress of a prompt's nodes, in the order they started: the message `progress_state`. */
export class ProgressState {
  readonly #promptId: string;
  readonly #nodes = new Map<string, NodeProgress>();

  constructor(promptId: string) {
    this.#promptId = promptId;
  }

  start(nodeId: string): void {
    this.#nodes.set(nodeId, { value: 0, max: 1, state: 'running' });
  }

  update(nodeId: string, value: number, max: number): void {
    this.#nodes.set(nodeId, { value, max, state: 'running' });
  }

  /** A cached node finishes without having started. */
  finish(nodeId: string): void {
    const max = this.#nodes.get(nodeId)?.max ?? 1;
    this.#nodes.set(nodeId, { value: max, max, state: 'finished' });
  }

  toMessage(): { readonly prompt_id: string; readonly nodes: ReadonlyMap<string, unknown> } {
    const nodes = [...this.#nodes].map(
      ([id, progress]) => [id, this.#describe(id, progress)] as const,
    );
    return { prompt_id: this.#promptId, nodes: new Map(nodes) };
  }

  #describe(id: string, progress: NodeProgress) {
    return {
      ...progress,
      node_id: id,
      prompt_id: this.#promptId,
      display_node_id: id,
      parent_node_id: null,
      real_node_id: id,
    };
  }
}

interface NodeProgress {
  readonly value: number;
  readonly max: number;
  readonly state: 'running' | 'finished';
}
