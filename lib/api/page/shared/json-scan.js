/** Imported by `json.js`, and served to browsers like it. */
export { endOfString, endOfValue } from '../../../json-scan.ts';
