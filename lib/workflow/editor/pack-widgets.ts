import { JsonText, objectText } from '../../json.ts';
import type { EditorNode } from './editor-file.ts';

/**
 * Widgets that the pages of the editor or of a node pack add to single classes. `/object_info` does not know them. Each entry
 * states a fact about one class; a new pack is added here.
 */

/** A widget that the class does not declare, with its own place among the saved values. */
export interface ExtraWidget {
  readonly name: string;
  /** The input behind which it stands; undefined for the end of the list. */
  readonly after?: string;
  /** Its value if the file has none. */
  readonly value: JsonText;
  /** It always has this value: it shows something of the last run. */
  readonly isFixed?: boolean;
}

const EMPTY = JsonText.of('');

export const EXTRA_WIDGETS: ReadonlyMap<string, readonly ExtraWidget[]> = new Map(
  Object.entries<readonly ExtraWidget[]>({
    Load3D: [
      { name: 'upload 3d model', after: 'model_file', value: EMPTY },
      { name: 'upload extra resources', after: 'model_file', value: EMPTY },
      { name: 'clear', after: 'model_file', value: EMPTY },
    ],
    Preview3D: [{ name: 'image', value: EMPTY }],
    SaveGLB: [{ name: 'image', value: EMPTY }],
    'Display Any (rgthree)': [{ name: 'output', value: EMPTY, isFixed: true }],
    'Display Int (rgthree)': [{ name: 'output', value: EMPTY, isFixed: true }],
    'Power Primitive (rgthree)': [
      { name: 'type', value: JsonText.of('STRING') },
      { name: 'value', value: EMPTY },
    ],
    'Power Puter (rgthree)': [
      { name: 'outputs', value: JsonText.of({ outputs: ['STRING'] }) },
      { name: 'code', value: EMPTY },
    ],
  }),
);

/** Reads all saved values of a node whose widgets come and go with its values. */
type ReadOwn = (saved: readonly JsonText[], node: EditorNode) => [name: string, value: JsonText][];

export const OWN_WIDGETS: ReadonlyMap<string, ReadOwn> = new Map(
  Object.entries<ReadOwn>({
    CustomCombo: readCustomCombo,
    'Power Lora Loader (rgthree)': readPowerLoras,
    'ShowText|pysssss': (saved) => {
      const shown = saved.flatMap((value) => (value.kind === 'array' ? value.items() : [value]));
      const texts = shown[0]?.text === '""' || shown[0]?.kind === 'null' ? shown.slice(1) : shown;
      return texts.map((value, index) => [`text_${index}`, value]);
    },
  }),
);

/** A combo with choices made by the user: the choice, its index, then the choices. Behind the last choice is an empty one. */
function readCustomCombo([choice = EMPTY, , ...saved]: readonly JsonText[]): [string, JsonText][] {
  const end = saved.findIndex(({ text }) => text === '""');
  const options = [...(end < 0 ? saved : saved.slice(0, end)), EMPTY];
  const named = options.map((value, index) => [`option${index + 1}`, value] as [string, JsonText]);
  return [['choice', choice], ['index', JsonText.of(0)], ...named];
}

/** Position of the choice among the options of a CustomCombo, from the values that are sent. */
export function customComboIndex(inputs: ReadonlyMap<string, string>): string {
  const options = [...inputs].filter(([name]) => /^option\d+$/.test(name));
  return String(options.findIndex(([, text]) => text === inputs.get('choice')));
}

/** One object for each row. The second strength counts only if the node shows both. */
function readPowerLoras(saved: readonly JsonText[], node: EditorNode): [string, JsonText][] {
  const showsBoth = node.properties?.get('Show Strengths')?.asString() === 'Separate Model & Clip';
  const rows = saved.filter((value) => value.get('lora') !== undefined);
  const header = saved.find((value) => value.get('type')?.asString() === LORA_HEADER);
  return [
    ...(header ? [[LORA_HEADER, header] as [string, JsonText]] : []),
    ...rows.map((row, index): [string, JsonText] => {
      const members = row.entries().filter(([name]) => name !== 'strengthTwo');
      const second = row.get('strengthTwo');
      const kept = second && second.kind !== 'null' ? second : JsonText.of(1);
      if (showsBoth) members.push(['strengthTwo', kept]);
      return [`lora_${index + 1}`, objectOf(members)];
    }),
    ['➕ Add Lora', EMPTY],
  ];
}

const LORA_HEADER = 'PowerLoraLoaderHeaderWidget';

function objectOf(members: readonly [string, JsonText][]): JsonText {
  return JsonText.parse(objectText(members.map(([name, { text }]) => [name, text])));
}

/** Saved values under names that the class had before, as the pack itself carries them over. */
export function renewNames(
  type: string,
  values: ReadonlyMap<string, JsonText>,
): Map<string, JsonText> {
  const renewed = new Map(values);
  for (const [former, name] of FORMER_NAMES.get(type) ?? []) {
    const value = values.get(former);
    if (value && !values.has(name)) renewed.set(name, value);
    renewed.delete(former);
  }
  const size = values.get('force_size')?.asString();
  if (size !== undefined && type.startsWith('VHS_')) {
    renewed.delete('force_size');
    for (const [name, text] of Object.entries(readForceSize(size)))
      renewed.set(name, JsonText.of(text));
  }
  return renewed;
}

const FORMER_NAMES: ReadonlyMap<string, readonly (readonly [former: string, name: string])[]> =
  new Map([['VHS_VideoCombine', [['save_image', 'save_output']]]]);

/** `512x?`, `Disabled`, `Custom Width` or `Custom Height` became two numbers, where 0 leaves a side as it is. */
function readForceSize(size: string): Record<string, number> {
  const [width, height] = size.split('x').map((side) => Number.parseInt(side, 10) || 0);
  if (size.includes('x')) return { custom_width: width ?? 0, custom_height: height ?? 0 };
  return {
    ...(['Disabled', 'Custom Height'].includes(size) && { custom_width: 0 }),
    ...(['Disabled', 'Custom Width'].includes(size) && { custom_height: 0 }),
  };
}

const VHS_VIDEO = ['video', 'force_rate', 'force_size'];
const VHS_FRAMES = ['frame_load_cap', 'skip_first_frames', 'select_every_nth'];

/** Names for the values of nodes that saved an array before they saved by name. */
export const FORMER_ORDER: ReadonlyMap<string, readonly (string | undefined)[]> = new Map(
  Object.entries({
    VHS_LoadImages: [
      'directory',
      undefined,
      'image_load_cap',
      'skip_first_images',
      'select_every_nth',
    ],
    VHS_LoadImagesPath: ['directory', 'image_load_cap', 'skip_first_images', 'select_every_nth'],
    VHS_LoadVideo: [...VHS_VIDEO, ...VHS_FRAMES],
    VHS_LoadVideoPath: [...VHS_VIDEO, ...VHS_FRAMES],
    VHS_VideoCombine: [
      'frame_rate',
      'loop_count',
      'filename_prefix',
      'format',
      'pingpong',
      'save_image',
    ],
  }),
);

/** Nodes that show the image the editor loaded last. A worker has loaded none; the class knows this value for that. */
export function previewOf({ type, nodeId }: EditorNode): JsonText | undefined {
  return type === 'PreviewBridge' || type === 'PreviewBridgeLatent'
    ? JsonText.of(`$${nodeId}-0`)
    : undefined;
}

/** Combos that only insert text elsewhere. They always have their first choice. */
export function isMenu(type: string, name: string): boolean {
  return MENUS.has(name) || (type === 'PromptBuilder //Inspire' && name === 'preset');
}

/** Names of such combos in Impact, Inspire and Easy-Use. */
const MENUS: ReadonlySet<string> = new Set(['Select to add LoRA', 'Select to add Wildcard']);

/** Numbers that stand for a random seed: the page of the pack replaces them before it submits the workflow. */
export function isRandomSeed(type: string, name: string, value: JsonText): boolean {
  const numbers = RANDOM_SEEDS.get(type) ?? [];
  return numbers.includes(value.text) && /^(noise_)?seed$/.test(name);
}

const RANDOM_SEEDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['HighRes-Fix Script', ['-1']],
  ['KSampler (Efficient)', ['-1']],
  ['KSampler Adv. (Efficient)', ['-1']],
  ['KSampler SDXL (Eff.)', ['-1']],
  ['Seed (rgthree)', ['-1', '-2', '-3']], // the last two count on from the last seed, which a worker does not have
  ['Tiled Upscaler Script', ['-1']],
]);
