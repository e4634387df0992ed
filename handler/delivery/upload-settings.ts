import type { Config } from '../../lib/config.ts';

/** What bounds uploads to places that callers name. */
export interface UploadSettings {
  /** Where files are put for `output.delivery: "volume"`. */
  readonly volumeFolder: string;
  /** Servers that need no public address, as `host:port`. */
  readonly allowPrivate: readonly string[];
  /** How long links to objects are valid. */
  readonly urlExpiresS: number;
}

export function uploadSettings(config: Config): UploadSettings {
  return {
    volumeFolder: config.OUTPUT_VOLUME_DIR,
    allowPrivate: config.UPLOAD_ALLOW_PRIVATE,
    urlExpiresS: config.BUCKET_URL_EXPIRES_S,
  };
}
