import { expect, test } from '@jest/globals';
import { MODELS, run, startWithFiles, type Graph } from '../../testing/run-graph.ts';
import type { InputSpec, NodeInfo } from '../node-info.ts';
import { describeRecorded, recordedNames } from './descriptions.ts';

const LOAD_3D = { image: 'in.png', mask: 'in.png', normal: 'in.png', recording: '' };

/** Adds values for all required inputs: defaults, first choices, and links to nodes that give the type. */
function addInputs(graph: Graph, id: string, groups: NodeInfo['input'], prefix = ''): void {
  const { inputs } = graph[id]!;
  for (const [name, [type, options = {}]] of Object.entries(groups.required ?? {})) {
    const full = prefix + name;
    if (type === 'COMFY_DYNAMICCOMBO_V3') {
      const [first] = options.options as { key: string; inputs: NodeInfo['input'] }[];
      inputs[full] = first!.key;
      addInputs(graph, id, first!.inputs, `${full}.`);
    } else if (type === 'COMFY_AUTOGROW_V3') {
      const template = options.template as Template;
      const [spec] = Object.values({ ...template.input.required, ...template.input.optional });
      for (let at = 0; at < Math.max(2, template.min); at++) {
        const element = template.names?.[at] ?? `${template.prefix}${at}`;
        inputs[`${full}.${element}`] = valueFor(graph, spec!);
      }
    } else if (type === 'INT' && Number(options.default) > 256 && /width|height|size/.test(name)) {
      inputs[full] = Math.max(Number(options.min ?? 1), 64); // large pictures take long
    } else inputs[full] = valueFor(graph, [type, options]);
  }
}

interface Template {
  readonly input: NodeInfo['input'];
  readonly prefix?: string;
  readonly names?: readonly string[];
  readonly min: number;
}

function valueFor(graph: Graph, [type, options = {}]: InputSpec): unknown {
  // A list would be taken for a link.
  if (Array.isArray(options.default)) return { __value__: options.default };
  if (options.default !== undefined) return options.default;
  const choices = (Array.isArray(type) ? type : options.options) as unknown[] | undefined;
  if (type === 'COMBO' || Array.isArray(type)) return choices?.[0] ?? 'in.png';
  const [first = ''] = String(type).split(',');
  switch (first) {
    case 'INT':
    case 'FLOAT':
      return Number(options.min ?? 0) > 0 ? Number(options.min) : 1;
    case 'BOOLEAN':
      return true;
    case 'STRING':
    case 'WEBCAM':
    case 'AUDIO_RECORD':
      return 'in.png';
    case 'LOAD_3D':
      return LOAD_3D;
    default:
      return [sourceOf(graph, first), 0];
  }
}

/** The id of a node that gives a neutral value of the type. */
function sourceOf(graph: Graph, type: string): string {
  const wanted = type === '*' || type === 'COMFY_MATCHTYPE_V3' ? 'IMAGE' : type;
  const id = `source ${wanted}`;
  graph[id] = { class_type: `Give ${wanted}`, inputs: {} };
  return id;
}

test('every recorded class runs with default inputs, and PreviewAny can show each of its outputs', async () => {
  await using comfy = await startWithFiles();
  const host = { folders: comfy.folders, models: MODELS };
  const failed: unknown[] = [];
  for (const name of recordedNames()) {
    const info = await describeRecorded(name, host);
    const graph: Graph = { it: { class_type: name, inputs: {} } };
    addInputs(graph, 'it', info.input);
    for (const slot of info.output.keys()) {
      graph[`show ${slot}`] = { class_type: 'PreviewAny', inputs: { source: ['it', slot] } };
    }
    if (Object.keys(graph).length === 1 && !info.output_node) continue;
    const { status } = await run(comfy, graph);
    if (status.status_str !== 'success') failed.push([name, status.messages.at(-1)]);
  }
  expect(failed).toEqual([]);
}, 120_000);
