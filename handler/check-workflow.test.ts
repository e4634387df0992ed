import { expect, test } from '@jest/globals';
import { WorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import { recordedInfos } from '../lib/workflow/test-infos.ts';
import { checkWorkflow, type CheckOptions } from './check-workflow.ts';

/** A ComfyUI that replaces one class, as 0.33 does. */
const comfy: CheckOptions['comfy'] = {
  describeNodes: () => Promise.resolve(recordedInfos),
  nodeClassNames: () => Promise.resolve([]),
  replacedClassNames: () => Promise.resolve(new Set(['OldScale'])),
  rejection: (_workflow, { headline }) =>
    Promise.resolve(new WorkerError('comfy.rejected', headline ?? 'refused')),
};
const { signal } = new AbortController();

const using = (...classTypes: string[]) =>
  JsonText.of({
    '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
    ...Object.fromEntries(
      classTypes.map((classType) => [
        classType,
        { class_type: classType, inputs: { image: ['1', 0] } },
      ]),
    ),
    '3': { class_type: 'SaveImage', inputs: { images: [classTypes[0], 0], filename_prefix: 'x' } },
  });

test('a class that is not installed, but that ComfyUI replaces by another, is not refused', async () => {
  await expect(checkWorkflow(using('OldScale'), { comfy, signal })).resolves.toBeUndefined();
});

test('a class that ComfyUI neither has nor replaces is refused', async () => {
  await expect(checkWorkflow(using('OldScale', 'Nope'), { comfy, signal })).rejects.toThrow(
    /^Cannot execute because node (Nope|OldScale) does not exist$/,
  );
});
