import type { S3Simulator } from '../../lib/simulator/stand-ins/s3.ts';
import { Random } from './plan.ts';

/** A job of the run, and what its result must hold. */
export interface ChaosJob {
  readonly jobId: string;
  /** The job object, as the platform hands it out. */
  readonly text: string;
  /** The name of the one file in its result. */
  readonly filename: string;
}

/** Small jobs: an image that is made or sent, some work, an image that is saved; every fourth result goes to S3. */
export class ChaosJobs {
  readonly #seed: number;
  readonly #random: Random;
  readonly #s3: Pick<S3Simulator, 'accessKeyId' | 'secretAccessKey'> & { readonly url: string };
  #count = 0;

  /** @param s3 with the address under which the worker reaches it. */
  constructor(
    seed: number,
    s3: Pick<S3Simulator, 'accessKeyId' | 'secretAccessKey'> & { readonly url: string },
  ) {
    this.#seed = seed;
    this.#random = new Random(seed ^ JOBS_SALT);
    this.#s3 = s3;
  }

  next(): ChaosJob {
    const index = ++this.#count;
    const jobId = `chaos-${this.#seed}-${index}`;
    const hasInput = this.#random.next() < 0.3;
    const isLong = this.#random.next() < 0.05;
    const ms = isLong ? this.#random.between(300, 1200) : this.#random.between(0, 20);
    const workflow = {
      '1': hasInput
        ? { class_type: 'LoadImage', inputs: { image: `input-${index}.png` } }
        : { class_type: 'EmptyImage', inputs: { ...SIZE, batch_size: 1, color: index } },
      '2': { class_type: 'ChaosWork', inputs: { image: ['1', 0], job: jobId, ms } },
      '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: `p${index}` } },
    };
    const input = {
      workflow,
      ...(hasInput && { images: [{ name: `input-${index}.png`, image: PIXEL }] }),
      ...(this.#random.next() < 0.25 && { s3Config: this.#s3Config() }),
    };
    return { jobId, text: JSON.stringify({ id: jobId, input }), filename: `p${index}_00001_.png` };
  }

  #s3Config() {
    const { url, accessKeyId, secretAccessKey } = this.#s3;
    return {
      endpointUrl: url,
      accessId: accessKeyId,
      accessSecret: secretAccessKey,
      bucketName: BUCKET,
    };
  }
}

export const BUCKET = 'chaos';
const JOBS_SALT = 0x5eed;
const SIZE = { width: 16, height: 16 };
/** A PNG of one pixel. */
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** Says what is wrong with the output of a job that succeeded. Undefined when it is the job's own file and no other. */
export function wrongOutput(output: unknown, filename: string): string | undefined {
  const { images } = (output ?? {}) as { images?: readonly { filename?: unknown }[] };
  const names = images?.map((image) => image.filename) ?? [];
  if (names.length === 1 && names[0] === filename) return undefined;
  return `its result has ${JSON.stringify(names)}, expected ${filename}`;
}
