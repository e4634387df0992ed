import { expect, test } from '@jest/globals';
import { declaredInputs, nestInputs } from './dynamic-inputs.ts';
import type { InputSpec, NodeInfo } from './node-info.ts';

const classWith = (required: Record<string, InputSpec>) =>
  ({ input: { required } }) as unknown as NodeInfo;

function look(info: NodeInfo, sent: Record<string, unknown>) {
  const inputs = new Map(Object.entries(sent));
  const names = declaredInputs(info, inputs).map(({ name, required }) =>
    required ? name : `${name}?`,
  );
  return { names, nested: nestInputs(info, inputs, sent) };
}

test('rows of a dynamic group are declared as far as they were sent, and nested by number', () => {
  const info = classWith({
    loras: [
      'COMFY_DYNAMICGROUP_V3',
      { min: 1, template: { required: { name: ['STRING'] }, optional: { strength: ['FLOAT'] } } },
    ],
  });
  expect(look(info, { 'loras.0.name': 'a', 'loras.1.name': 'b', 'loras.1.strength': 1 })).toEqual({
    names: ['loras.0.name', 'loras.1.name', 'loras.0.strength?', 'loras.1.strength?'],
    nested: { loras: { 0: { name: 'a' }, 1: { name: 'b', strength: 1 } } },
  });
});

test('elements of a growing list beyond its minimum are optional; without any it is empty', () => {
  const template = { input: { required: { value: ['*'] } }, prefix: 'value', min: 1, max: 2 };
  const info = classWith({ values: ['COMFY_AUTOGROW_V3', { template }] });
  expect(look(info, { 'values.value1': 7 })).toEqual({
    names: ['values.value0', 'values.value1?'],
    nested: { values: { value1: 7 } },
  });
  expect(look(info, {}).nested).toEqual({ values: {} });
});

test('a combo within a combo brings its inputs under both names', () => {
  const codec = { options: [{ key: 'h264', inputs: { required: { crf: ['FLOAT'] } } }] };
  const mp4 = { key: 'mp4', inputs: { required: { codec: ['COMFY_DYNAMICCOMBO_V3', codec] } } };
  const info = classWith({ format: ['COMFY_DYNAMICCOMBO_V3', { options: [mp4] }] });
  expect(look(info, { format: 'mp4', 'format.codec': 'h264', 'format.codec.crf': 2 })).toEqual({
    names: ['format.codec.crf', 'format.codec', 'format'],
    nested: { format: { format: 'mp4', codec: { codec: 'h264', crf: 2 } } },
  });
  expect(look(info, { format: 'unknown' }).names).toEqual([]);
});
