/** What `json.js` imports. Served to browsers like it. */
export { endOfString, endOfValue } from '../../../json-scan.ts';
