import type { OutputOptions } from '../request/output-options.ts';

/** What a job wants its pictures to become. */
export type Conversion = NonNullable<OutputOptions['convert']>;

/** What they can become. */
export type Format = 'webp' | 'jpeg' | 'png' | 'avif' | 'gif';
