import { readFileSync } from 'node:fs';
import { JsonText } from '../json.ts';
import type { NodeInfos } from './node-info.ts';

/** For tests: the node descriptions of a real ComfyUI 0.8.0. */
export const recordedInfos: NodeInfos = new Map(
  JsonText.parse(
    readFileSync(
      new URL('../../test_resources/transcripts/comfyui-0.8.0/object_info.json', import.meta.url),
      'utf8',
    ),
  ).entries(),
);

/** The same with more classes, in the form of `/object_info`. */
export function withClasses(classes: Readonly<Record<string, object>>): NodeInfos {
  const added = Object.entries(classes).map(([name, info]) => [name, JsonText.of(info)] as const);
  return new Map([...recordedInfos, ...added]);
}
