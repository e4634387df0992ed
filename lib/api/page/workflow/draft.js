import { plainText, readNodes } from './workflow.js';

/**
 * A request on the form: the text that was opened, and the changes made since.
 *
 * @import { JsonText } from '../shared/json.js'
 * @import { Field } from './workflow.js'
 *
 * @typedef {object} Picture An image picked for a node.
 * @property {string} name as ComfyUI will know it
 * @property {string} dataUri
 */
export class Draft {
  /** @type {Map<Field, string>} New JSON by field. */
  #changes = new Map();
  /** @type {Map<Field, Picture>} */
  #pictures = new Map();
  #request;
  #workflow;
  /** Images that came with the job, in `input.images`. */
  #images;

  /**
   * @param {JsonText} request `{"input": {"workflow": ...}}`
   * @param {string} name name of the file or source it was opened from
   */
  constructor(request, name) {
    const input = request.get('input');
    const workflow = input?.get('workflow');
    if (!input || !workflow) throw new TypeError('Expected a request with a workflow');
    this.name = name;
    this.nodes = readNodes(workflow);
    this.#request = request;
    this.#workflow = workflow;
    this.#images = (input.get('images')?.items() ?? []).map((json) => {
      return { json, name: plainText(json.get('name')) };
    });
  }

  /** The JSON of a field as it is now. @param {Field} field */
  jsonOf(field) {
    return this.#changes.get(field) ?? field.json.text;
  }

  /** The value as a person reads and types it: strings without quotes. @param {Field} field */
  plainOf(field) {
    const json = this.jsonOf(field);
    return json.startsWith('"') ? String(JSON.parse(json)) : json;
  }

  /**
   * @param {Field} field
   * @param {string} json
   */
  change(field, json) {
    if (json === field.json.text) this.#changes.delete(field);
    else this.#changes.set(field, json);
  }

  /**
   * Puts another image into an image field. It is sent with the job, under a name no other field uses.
   *
   * @param {Field} field
   * @param {Picture} picture
   */
  pick(field, picture) {
    this.#pictures.delete(field);
    const name = this.#freeName(picture.name, field);
    this.#pictures.set(field, { ...picture, name });
    this.change(field, JSON.stringify(name));
  }

  /** The image a field names, as a data URI; undefined unless it is sent with the job. @param {Field} field */
  pictureOf(field) {
    const name = this.plainOf(field);
    const sent = this.#images.findLast((image) => image.name === name)?.json.get('image');
    return (
      this.#pictures.get(field)?.dataUri ??
      (sent?.kind === 'string' ? toDataUri(String(sent.value()), name) : undefined)
    );
  }

  get imageFields() {
    return this.#fields('image');
  }

  get seedFields() {
    return this.#fields('seed');
  }

  /** The request with all changes. */
  get text() {
    const changed = this.#request.replacingAll(this.#edits());
    if (this.#pictures.size === 0) return changed.text;
    const images = this.#imagesText();
    const list = changed.get('input')?.get('images');
    if (list) return changed.replacing(list, images).text;
    const workflow = changed.get('input')?.get('workflow');
    if (!workflow) throw new TypeError('Expected a request with a workflow');
    return changed.replacing(workflow, `${workflow.text},"images":${images}`).text;
  }

  /** The workflow alone, to be saved and opened elsewhere. */
  get workflowText() {
    return this.#workflow.replacingAll(this.#edits()).text;
  }

  /** A short title: the first prompt that is not empty, or the name. */
  get title() {
    const prompts = this.#fields('prompt').map((field) => this.plainOf(field).trim());
    return prompts.find((prompt) => prompt !== '') ?? this.name;
  }

  /** @param {Field['kind']} kind */
  #fields(kind) {
    return this.nodes.flatMap(({ fields }) => fields.filter((field) => field.kind === kind));
  }

  /** @returns {[JsonText, string][]} */
  #edits() {
    return [...this.#changes].map(([{ json }, text]) => [json, text]);
  }

  /** `input.images`: those that came with the job and are still used, then the picked ones. */
  #imagesText() {
    const picked = [...this.#pictures.values()];
    const replaced = new Set(picked.map(({ name }) => name));
    const kept = this.#images.filter(
      ({ name }) => name === undefined || !(this.#isStale(name) || replaced.has(name)),
    );
    const added = picked.map(({ name, dataUri }) => JSON.stringify({ name, image: dataUri }));
    return `[${[...kept.map(({ json }) => json.text), ...added].join(',')}]`;
  }

  /** Whether picked images have replaced this one in every field that used it. @param {string} name */
  #isStale(name) {
    const wasUsed = [...this.#pictures.keys()].some((field) => plainText(field.json) === name);
    return wasUsed && !this.imageFields.some((field) => this.plainOf(field) === name);
  }

  /**
   * @param {string} wanted
   * @param {Field} field its own current name counts as free
   */
  #freeName(wanted, field) {
    const others = this.imageFields.filter((other) => other !== field);
    const taken = new Set(others.map((other) => this.plainOf(other)));
    const [, stem = wanted, ending = ''] = /^(.*?)(\.[^.]*)?$/.exec(wanted) ?? [];
    let name = wanted;
    for (let number = 2; taken.has(name); number++) name = `${stem}-${number}${ending}`;
    return name;
  }
}

/**
 * @param {string} image base64, bare or already a data URI
 * @param {string} name its ending gives the media type
 */
function toDataUri(image, name) {
  if (image.startsWith('data:')) return image;
  const [, ending = 'png'] = /\.(\w+)$/.exec(name) ?? [];
  return `data:image/${ending.toLowerCase().replace('jpg', 'jpeg')};base64,${image}`;
}
