/** The worker's own rules for telling workflow formats apart. Served to browsers like `json.js`. */
export { recognise } from '../../../workflow/graph.ts';
