/** Imported by `json.js`, and served to browsers like it. */
export { LongString } from '../../../long-strings.ts';
