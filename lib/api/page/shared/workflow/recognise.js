/** The worker's own rules for telling workflows and jobs apart. Served to browsers like `json.js`. */
export { recognise, formatOf } from '../../../../workflow/recognise.ts';
