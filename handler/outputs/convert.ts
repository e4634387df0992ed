import pLimit from 'p-limit';
import type { Config } from '../../lib/config.ts';
import { describeError, isError } from '../../lib/errors.ts';
import type { DeliveryScope } from '../job-scope.ts';
import type { Artifact } from './artifact.ts';
import { convertImage, type Conversion, type ConvertLimits } from './convert-image.ts';

export interface ConverterSettings extends ConvertLimits {
  /** Images converted in parallel, of all jobs together. */
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

/** Converts images for all jobs of this worker, so that its limits hold for any number of jobs. */
export class Converter {
  readonly #limits: ConvertLimits;
  readonly #limit: ReturnType<typeof pLimit>;

  constructor({ conversions, ...limits }: ConverterSettings) {
    this.#limits = limits;
    this.#limit = pLimit(conversions);
  }

  /**
   * The artifacts with their images converted, in the same order. Other files stay as they are. So does an image that
   * cannot be converted, and the job gets a problem.
   */
  async convert(
    artifacts: readonly Artifact[],
    conversion: Conversion | undefined,
    scope: DeliveryScope,
  ): Promise<readonly Artifact[]> {
    if (conversion === undefined || Object.keys(conversion).length === 0) return artifacts;
    const { signal, newScratchPath: newPath } = scope;
    const converted = await Promise.all(
      artifacts.map((artifact) =>
        this.#limit(async () => {
          const { mediaType, filename } = artifact;
          const isImage = mediaType.startsWith('image/') && mediaType !== 'image/svg+xml';
          if (signal.aborted || !isImage) return { artifact, problem: undefined };
          try {
            const done = await convertImage(artifact, conversion, {
              newPath,
              limits: this.#limits,
            });
            const problem = done.loss && `Converted ${filename}, but ${done.loss}`;
            return { artifact: done.artifact, problem };
          } catch (error) {
            const [why] = isError(error) ? describeError(error).split('\n', 1) : [String(error)];
            const problem = `Could not convert ${filename}, it comes as it was: ${why}`;
            return { artifact, problem };
          }
        }),
      ),
    );
    signal.throwIfAborted();
    scope.problems.push(...converted.flatMap(({ problem }) => problem ?? []));
    return converted.map(({ artifact }) => artifact);
  }
}
