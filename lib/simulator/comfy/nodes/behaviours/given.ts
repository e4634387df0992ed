import { PyFloat } from '../../python/python-json.ts';
import { fromPlain, pyStr, PythonError } from '../../python/python-text.ts';
import type { ImageBatch, NodeContext, NodeResult } from '../node.ts';
import type { Audio, Latent, MaskBatch, Video } from '../values.ts';

/** What a recorded class does. Returns the values of its outputs, or these with a `ui` output. */
export type Behaviour = (given: Given, context: NodeContext) => Returned | Promise<Returned>;

type Returned = readonly unknown[] | NodeResult;

/** Behaviours by class name. */
export type Behaviours = Readonly<Record<string, Behaviour>>;

/** The inputs of a running node. Optional inputs that were not sent have their declared default, if there is one. */
export class Given {
  readonly values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values;
  }

  has(name: string): boolean {
    return this.values[name] !== undefined;
  }

  /** @throws PythonError when the input was not sent. */
  value(name: string): unknown {
    const value = this.values[name];
    if (value !== undefined) return value;
    throw new PythonError('TypeError', `execute() missing 1 required argument: '${name}'`);
  }

  text(name: string): string {
    return textOf(this.value(name));
  }

  number(name: string): number {
    return Number(this.value(name));
  }

  flag(name: string): boolean {
    return isTruthy(this.value(name));
  }

  image(name: string): ImageBatch {
    return this.value(name) as ImageBatch;
  }

  mask(name: string): MaskBatch {
    return this.value(name) as MaskBatch;
  }

  latent(name: string): Latent {
    return this.value(name) as Latent;
  }

  video(name: string): Video {
    return this.value(name) as Video;
  }

  audio(name: string): Audio {
    return this.value(name) as Audio;
  }

  /** The inputs below a dynamic input: those of the chosen option, or the elements of a growing list. */
  group(name: string): Given {
    const value = this.values[name];
    return new Given(isGroup(value) ? value : {});
  }

  /** The elements of a growing list. */
  elements<T>(name: string): T[] {
    return Object.values(this.group(name).values) as T[];
  }
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `str(value)`. */
export function textOf(value: unknown): string {
  return pyStr(fromPlain(value));
}

/** `bool(value)`. */
export function isTruthy(value: unknown): boolean {
  if (value instanceof PyFloat) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  return Boolean(value);
}
