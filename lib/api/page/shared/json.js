/**
 * The worker's own JSON reader. In Node this file loads it from the sources; a browser that asks for this address gets the
 * module itself (see `page-routes.ts`), so page and worker read JSON by the same rules.
 */
export { JsonText } from '../../../json.ts';
