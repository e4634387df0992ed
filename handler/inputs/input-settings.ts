import type { Config } from '../../lib/config.ts';
import type { ImageLimits } from './input-look.ts';

export function imageLimits(config: Config): ImageLimits {
  return {
    maxBytes: config.INPUT_MAX_IMAGE_BYTES,
    maxEdge: config.INPUT_MAX_IMAGE_EDGE,
    maxPixels: config.INPUT_MAX_IMAGE_PIXELS,
    maxAnimationPixels: config.INPUT_MAX_ANIMATION_PIXELS,
  };
}
