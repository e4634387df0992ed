import { measureJson, type JsonBody } from '../json-body.ts';
import { JsonText } from '../json.ts';

/** What is posted about a job. */
export interface PostMembers {
  /** Only progress has one; without it, the platform takes the job for ended. */
  readonly status?: 'IN_PROGRESS';
  readonly output?: unknown;
  readonly error?: string;
  /** Asks the platform for a fresh worker. */
  readonly stopPod?: true;
}

/** The same written out: as it goes over a wire, and what it is made of, for a queue that has no wire. */
export interface PostBody extends JsonBody {
  readonly output: JsonBody | undefined;
  readonly error: string | undefined;
}

/** A body whose exact size is known before the base64 in it is written out. */
export interface MeasuredPost {
  readonly bytes: number;
  encode(): PostBody;
}

/**
 * Members in their order; absent ones are left out.
 * @throws TypeError naming what could not be serialized.
 */
export function measurePost(members: PostMembers): MeasuredPost {
  const present = Object.entries(members).filter(([, value]) => value !== undefined);
  const measured = present.map(([name, value], at) => ({
    name,
    head: Buffer.from(`${at === 0 ? '{' : ','}${JSON.stringify(name)}:`),
    value: measureJson(value),
  }));
  const tail = Buffer.from(measured.length === 0 ? '{}' : '}');
  const sizes = measured.map(({ head, value }) => head.length + value.bytes);
  const bytes = sizes.reduce((sum, size) => sum + size, tail.length);
  return {
    bytes,
    encode: () => {
      const encoded = measured.map(({ name, head, value }) => ({ name, head, ...value.encode() }));
      return {
        bytes,
        chunks: [...encoded.flatMap(({ head, chunks }) => [head, ...chunks]), tail],
        output: encoded.find(({ name }) => name === 'output'),
        error: members.error,
      };
    },
  };
}

/** For bodies whose size does not matter. */
export const encodePost = (members: PostMembers): PostBody => measurePost(members).encode();

/** A body that was written out before. It is taken apart only for a queue that asks for its parts. */
export function readPost(body: Buffer): PostBody {
  const read = (name: string) => JsonText.parse(body.toString()).get(name);
  return {
    bytes: body.length,
    chunks: [body],
    get output() {
      const output = read('output');
      return output && toBody(output);
    },
    get error() {
      const error = read('error')?.value();
      return typeof error === 'string' ? error : undefined;
    },
  };
}

function toBody({ text }: JsonText): JsonBody {
  const bytes = Buffer.from(text);
  return { bytes: bytes.length, chunks: [bytes] };
}
