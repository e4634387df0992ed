import type { Profile } from '../profile.ts';
import type { NodeInfo } from './node-info.ts';
import { pyRepr, PythonError } from '../python/python-text.ts';

/** Node classes of the embedded ComfyUI: their entry in `/object_info` and their behaviour. */

/** The folders of one ComfyUI; absolute paths. */
export interface Folders {
  readonly input: string;
  readonly output: string;
  readonly temp: string;
}

/** The server's state that descriptions and checks of nodes depend on. */
export interface NodeHost {
  readonly folders: Folders;
  /** Model files by folder name (`checkpoints`, `vae`, ...), file names only; they need not exist. */
  readonly models: Readonly<Record<string, readonly string[]>>;
}

export interface NodeContext extends NodeHost {
  readonly nodeId: string;
  /**
   * The prompt's workflow and `extra_data.extra_pnginfo`, for nodes that write metadata. The server passes `JsonText`, so
   * that they are written exactly as received.
   */
  readonly prompt: unknown;
  readonly extraPnginfo: unknown;
  /**
   * Reports `value` of `max` steps, with an optional JPEG preview, or with a PNG that is an image of the result. Rejects when the prompt has been interrupted. Samplers
   * await it at every step.
   */
  progress(value: number, max: number, picture?: Uint8Array): Promise<void>;
  /** Waits `ms` milliseconds, divided by the simulator's speed. */
  work(ms: number): Promise<void>;
  /** Writes a line into the log, once for each text. */
  note(text: string): void;
}

export interface NodeResult {
  /** One value per output slot; a list for a slot that gives lists. */
  readonly outputs?: readonly unknown[];
  /** The `ui` output of an output node: `{images: [{filename, subfolder, type}]}`. */
  readonly ui?: Readonly<Record<string, readonly unknown[]>>;
}

export interface NodeDefinition {
  /** A function, because choices (files, models) change while the server runs. */
  info(host: NodeHost): NodeInfo | Promise<NodeInfo>;
  /**
   * An error it throws fails the prompt. Callers see the error's name as the Python class: `RuntimeError`. A plain
   * `Error` is shown as `Exception`.
   */
  execute(
    inputs: Readonly<Record<string, unknown>>,
    context: NodeContext,
  ): NodeResult | Promise<NodeResult>;
  /** ComfyUI's VALIDATE_INPUTS. */
  readonly validate?: InputCheck;
  /** Names of the inputs the node needs, of those that are lazy. Lazy inputs whose nodes have not run are undefined. */
  needs?(inputs: Readonly<Record<string, unknown>>): readonly string[];
  /** The node runs once, with a list for every input. */
  readonly takesLists?: true;
  /** The node also receives inputs that its class does not declare. */
  readonly acceptsAllInputs?: true;
  /** ComfyUI's IS_CHANGED: the node runs again when the returned text differs from the last run. */
  fingerprint?(inputs: Readonly<Record<string, unknown>>, host: NodeHost): Promise<string> | string;
}

/** A check of its own for some inputs of a class. It replaces the check of their bounds and choices. */
export interface InputCheck {
  /** The parameters of ComfyUI's function. A prompt without one of them ends in a Python TypeError. */
  readonly inputs: readonly string[];
  /** The class that defines the check, if it is inherited. */
  readonly definedBy?: string;
  /**
   * Returns an error text, or undefined. Links arrive as null.
   * @throws PythonError where ComfyUI's function raises, e.g. because a file name is a number.
   */
  check(
    inputs: Readonly<Record<string, unknown>>,
    host: NodeHost,
  ): Promise<string | undefined> | string | undefined;
}

/** A batch of images of one size: RGB or RGBA, 8 bits per channel, rows from the top left. */
export interface ImageBatch {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly frames: readonly Uint8Array[];
}

/** Node classes by name. */
export type NodeClasses = Pick<ReadonlyMap<string, NodeDefinition>, 'has' | 'get' | 'keys'>;

/** The node classes of a server. */
export interface Catalogue {
  readonly nodes: NodeClasses;
  readonly host: NodeHost;
  readonly profile: Profile;
}

/** A node class with its current description. Choices change while the server runs. */
export interface DescribedNode {
  readonly definition: NodeDefinition;
  readonly info: NodeInfo;
}

/** @throws PythonError for an unknown class. */
export async function describeClasses(
  names: Iterable<string>,
  { nodes, host, profile }: Catalogue,
): Promise<Map<string, DescribedNode>> {
  const described = [...names].map(async (name): Promise<[string, DescribedNode]> => {
    const definition = nodes.get(name);
    if (!definition) throw new PythonError('KeyError', pyRepr(name));
    return [name, { definition, info: profile.describe(await definition.info(host)) }];
  });
  return new Map(await Promise.all(described));
}

/** The value of a slot whose class declares it as a list. A node without lists runs once for each of its items. */
export class ValueList {
  readonly items: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/** An output value that blocks all downstream nodes without failing the prompt (ComfyUI's `ExecutionBlocker`). */
export interface Blocker {
  readonly blocked: true;
  /** Sent to the client as an `execution_error` of type `ExecutionBlocked`. Without it, nothing is sent. */
  readonly message?: string;
}

export function isBlocker(value: unknown): value is Blocker {
  return (
    typeof value === 'object' && value !== null && 'blocked' in value && value.blocked === true
  );
}

/** Thrown by a node that crashes the whole process, like a segmentation fault in a native library. */
export class ProcessCrash extends Error {
  override readonly name = 'ProcessCrash';
}
