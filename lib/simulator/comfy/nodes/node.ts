import { pyRepr, PythonError } from '../python/python-text.ts';

/** What a node of the embedded ComfyUI is: its entry in `/object_info`, and what it does. */

/** `[type, options]`, `[[choices], options]` or `["COMBO", {options}]`, as ComfyUI describes an input. */
export type InputSpec = readonly [string | readonly unknown[], Readonly<Record<string, unknown>>?];

/** An entry of `/object_info`, with ComfyUI's own key names and order. */
export interface NodeInfo {
  readonly input: {
    readonly required?: Readonly<Record<string, InputSpec>>;
    readonly optional?: Readonly<Record<string, InputSpec>>;
    readonly hidden?: Readonly<Record<string, unknown>>;
  };
  readonly input_order: Readonly<Record<string, readonly string[]>>;
  readonly output: readonly unknown[];
  readonly output_is_list: readonly boolean[];
  readonly output_name: readonly string[];
  readonly name: string;
  readonly display_name: string | null;
  readonly description?: string;
  readonly python_module: string;
  readonly category: string;
  readonly output_node: boolean;
  readonly [extra: string]: unknown;
}

/** The folders of one ComfyUI; absolute paths. */
export interface Folders {
  readonly input: string;
  readonly output: string;
  readonly temp: string;
}

/** What a node may look at to describe or check itself. */
export interface NodeHost {
  readonly folders: Folders;
  /** Model files by folder name (`checkpoints`, `vae`, ...), file names only; they need not exist. */
  readonly models: Readonly<Record<string, readonly string[]>>;
}

export interface NodeContext extends NodeHost {
  readonly nodeId: string;
  /**
   * The whole workflow of the prompt, and `extra_data.extra_pnginfo`, for nodes that write metadata: the server gives
   * `JsonText`, so that they are written as they came.
   */
  readonly prompt: unknown;
  readonly extraPnginfo: unknown;
  /**
   * Reports `value` of `max` steps, with a JPEG preview if there is one, and rejects when the prompt has been interrupted.
   * Await it at every step, as a sampler's callback would be called.
   */
  progress(value: number, max: number, previewJpeg?: Uint8Array): Promise<void>;
  /** Waits, scaled by the simulator's speed. */
  work(ms: number): Promise<void>;
}

export interface NodeResult {
  /** One value per output slot. */
  readonly outputs?: readonly unknown[];
  /** What an output node shows: `{images: [{filename, subfolder, type}]}`. */
  readonly ui?: Readonly<Record<string, readonly unknown[]>>;
}

export interface NodeDefinition {
  /** A function, because choices (files, models) change while the server runs. */
  info(host: NodeHost): NodeInfo | Promise<NodeInfo>;
  /**
   * What it throws fails the prompt. The error's name is the Python class callers are told: `RuntimeError`; a plain
   * `Error` is told as `Exception`.
   */
  execute(
    inputs: Readonly<Record<string, unknown>>,
    context: NodeContext,
  ): NodeResult | Promise<NodeResult>;
  /** ComfyUI's VALIDATE_INPUTS: a text is an error of the input named; checked instead of the combo's choices. */
  validate?(
    inputs: Readonly<Record<string, unknown>>,
    host: NodeHost,
  ): Promise<Record<string, string>> | Record<string, string>;
  /** ComfyUI's IS_CHANGED: when the text differs from the last run, the node is run again. */
  fingerprint?(inputs: Readonly<Record<string, unknown>>, host: NodeHost): Promise<string> | string;
}

/** A batch of pictures of one size: RGB or RGBA, 8 bits, rows from top left. */
export interface ImageBatch {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly frames: readonly Uint8Array[];
}

/** The node classes of a server. */
export interface Catalogue {
  readonly nodes: ReadonlyMap<string, NodeDefinition>;
  readonly host: NodeHost;
}

/** A node class with its description as of now: choices change while the server runs. */
export interface DescribedNode {
  readonly definition: NodeDefinition;
  readonly info: NodeInfo;
}

/** @throws PythonError for a class that is not there. */
export async function describe(
  names: Iterable<string>,
  { nodes, host }: Catalogue,
): Promise<Map<string, DescribedNode>> {
  const described = [...names].map(async (name): Promise<[string, DescribedNode]> => {
    const definition = nodes.get(name);
    if (!definition) throw new PythonError('KeyError', pyRepr(name));
    return [name, { definition, info: await definition.info(host) }];
  });
  return new Map(await Promise.all(described));
}

/** An output that stops every node it reaches, without failing the prompt (ComfyUI's `ExecutionBlocker`). */
export interface Blocker {
  readonly blocked: true;
  /** Told to the client as an `execution_error` of type `ExecutionBlocked`; without one, nobody hears of it. */
  readonly message?: string;
}

export function isBlocker(value: unknown): value is Blocker {
  return (
    typeof value === 'object' && value !== null && 'blocked' in value && value.blocked === true
  );
}

/** Thrown by a node that takes the whole process with it, as a fault in a native library does. */
export class ProcessCrash extends Error {
  override readonly name = 'ProcessCrash';
}
