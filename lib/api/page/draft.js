import { inputImages } from './input-images.js';
import { splice } from './splice.js';
import { readNodes } from './workflow.js';

/**
 * A request on the form: its text as it was opened, and what a person has changed since.
 *
 * @import { JsonText } from './json-text.js'
 * @import { Edit } from './splice.js'
 * @import { Field } from './workflow.js'
 *
 * @typedef {object} Picture An image a person picked for a node.
 * @property {string} name as ComfyUI will know it
 * @property {string} dataUri
 */
export class Draft {
  /** @type {Map<Field, string>} The JSON that stands in for a field's own. */
  #changes = new Map();
  /** @type {Map<Field, Picture>} */
  #pictures = new Map();
  #request;
  #workflow;

  /**
   * @param {JsonText} request `{"input": {"workflow": ...}}`
   * @param {string} name what it was opened from
   */
  constructor(request, name) {
    const input = request.get('input');
    const workflow = input?.get('workflow');
    if (!input || !workflow) throw new TypeError('Expected a request with a workflow');
    this.name = name;
    this.nodes = readNodes(workflow);
    this.#request = request;
    this.#workflow = workflow;
    this.images = inputImages(input, workflow);
  }

  /** The JSON of a field as it is now. @param {Field} field */
  jsonOf(field) {
    return this.#changes.get(field) ?? field.json.text;
  }

  /** What a person reads and types. @param {Field} field */
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
   * Gives an image field another image; it is sent along under a name no other field has.
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

  /** Where to see the image a field names: a data URI, when it travels with the job. @param {Field} field */
  pictureOf(field) {
    return this.#pictures.get(field)?.dataUri ?? this.images.find(this.plainOf(field));
  }

  get imageFields() {
    return this.#fields('image');
  }

  get seedFields() {
    return this.#fields('seed');
  }

  /** The request as it is now. */
  get text() {
    const edits = [...this.#changes].map(([{ json }, text]) => toEdit(json, text));
    const isStale = (/** @type {string} */ name) => this.#isStale(name);
    const images = this.images.edit([...this.#pictures.values()], isStale);
    return splice(this.#request.source, images ? [...edits, images] : edits);
  }

  /** The workflow alone, to be saved and opened elsewhere. */
  get workflowText() {
    const { start, end, source } = this.#workflow;
    const edits = [...this.#changes].map(([{ json }, text]) => toEdit(json, text));
    const spliced = splice(source, edits);
    return spliced.slice(start, end + spliced.length - source.length);
  }

  /** A few words to tell it from others: its first prompt, or where it came from. */
  get title() {
    const prompts = this.#fields('prompt').map((field) => this.plainOf(field).trim());
    return prompts.find((prompt) => prompt !== '') ?? this.name;
  }

  /** @param {Field['kind']} kind */
  #fields(kind) {
    return this.nodes.flatMap(({ fields }) => fields.filter((field) => field.kind === kind));
  }

  /** Whether an image of the job has given way to a picked one everywhere. @param {string} name */
  #isStale(name) {
    const hadIt = [...this.#pictures.keys()].some((field) => field.json.plain === name);
    return hadIt && !this.imageFields.some((field) => this.plainOf(field) === name);
  }

  /**
   * @param {string} wanted
   * @param {Field} field whose own name may be taken over
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
 * @param {JsonText} json
 * @param {string} text
 * @returns {Edit}
 */
const toEdit = ({ start, end }, text) => ({ start, end, text });
