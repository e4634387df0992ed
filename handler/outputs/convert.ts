import pLimit from 'p-limit';
import type { Config } from '../../lib/config.ts';
import { describeError, isError } from '../../lib/errors.ts';
import type { Artifact } from './artifact.ts';
import type { Conversion } from './conversion.ts';
import { convertImage, type Converted, type ConvertLimits } from './convert-image.ts';

export interface ConverterSettings extends ConvertLimits {
  /** Pictures converted side by side, of all jobs together. */
  readonly conversions: number;
}

export function converterSettings(config: Config): ConverterSettings {
  return {
    conversions: config.CONVERT_SIDE_BY_SIDE,
    maxBytes: config.CONVERT_MAX_BYTES,
    maxPixels: config.CONVERT_MAX_PIXELS,
    timeoutMs: config.CONVERT_TIMEOUT_S * 1000,
  };
}

export interface ConvertedAll {
  readonly artifacts: readonly Artifact[];
  readonly problems: readonly string[];
}

/** Converts pictures for all jobs of this worker, so that its bounds hold however many jobs there are. */
export class Converter {
  readonly #limits: ConvertLimits;
  readonly #limit: ReturnType<typeof pLimit>;

  constructor({ conversions, ...limits }: ConverterSettings) {
    this.#limits = limits;
    this.#limit = pLimit(conversions);
  }

  /** In order. What is no picture stays as it is, and so does a picture that cannot be converted, with a problem. */
  async convert(
    artifacts: readonly Artifact[],
    conversion: Conversion | undefined,
    job: { readonly newPath: () => Promise<string>; readonly signal: AbortSignal },
  ): Promise<ConvertedAll> {
    if (conversion === undefined || Object.keys(conversion).length === 0)
      return { artifacts, problems: [] };
    const converted = await Promise.all(
      artifacts.map((artifact) => this.#limit(() => this.#convertOne(artifact, conversion, job))),
    );
    job.signal.throwIfAborted();
    return {
      artifacts: converted.map(({ artifact }) => artifact),
      problems: converted.flatMap(({ problem }) => problem ?? []),
    };
  }

  async #convertOne(
    artifact: Artifact,
    conversion: Conversion,
    { newPath, signal }: { readonly newPath: () => Promise<string>; readonly signal: AbortSignal },
  ): Promise<Converted> {
    if (signal.aborted || !isPicture(artifact)) return { artifact };
    try {
      const done = await convertImage(artifact, conversion, { newPath, limits: this.#limits });
      if (done.problem === undefined) return done;
      return { ...done, problem: `Converted ${artifact.filename}, but ${done.problem}` };
    } catch (error) {
      const why = isError(error) ? firstLine(describeError(error)) : String(error);
      return {
        artifact,
        problem: `Could not convert ${artifact.filename}, it comes as it was: ${why}`,
      };
    }
  }
}

/** Drawings made of lines are not pixels yet, and stay what they are. */
const isPicture = ({ mediaType }: Artifact) =>
  mediaType.startsWith('image/') && mediaType !== 'image/svg+xml';

const firstLine = (text: string) => text.split('\n', 1)[0] ?? text;
