/** What `json.js` imports. Served to browsers like it. */
export { LongString } from '../../../long-strings.ts';
