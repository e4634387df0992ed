import type { JsonText } from '../../json.ts';
import type { Preview } from '../backend.ts';

/**
 * A binary frame of ComfyUI: four bytes for the type of event, four for the format of the image, then the image
 * (`server.py`, `encode_bytes` and `send_image`). Undefined for other events. Frames with metadata go only to clients
 * that ask for them.
 */
export function parsePreview(frame: Buffer): Preview | undefined {
  if (frame.length <= HEAD_BYTES || frame.readUInt32BE(0) !== PREVIEW_IMAGE) return undefined;
  const mediaType = IMAGE_FORMATS.get(frame.readUInt32BE(4));
  return mediaType === undefined ? undefined : { bytes: frame.subarray(HEAD_BYTES), mediaType };
}

/** Whether the image of such a frame is a PNG. */
export const isPng = (frame: Buffer) => frame.length > HEAD_BYTES && frame.readUInt32BE(4) === 2;

/** Whether a node sends images of the result through the websocket. ComfyUI keeps none of them. */
export function sendsImages(workflow: JsonText, nodeId: string | undefined): boolean {
  const node = nodeId === undefined ? undefined : workflow.get(nodeId);
  return IMAGE_SENDERS.has(node?.get('class_type')?.asString() ?? '');
}

/** A text for each node of `workflow` that sends such images, but is not in `senders`. */
export function lostImages(workflow: JsonText, senders: ReadonlySet<string>): string[] {
  const nodeIds = workflow.entries().map(([nodeId]) => nodeId);
  const lost = nodeIds.filter((id) => sendsImages(workflow, id) && !senders.has(id));
  return lost.map(
    (nodeId) =>
      `Node ${nodeId} sends its images through the websocket, and they are lost: the connection to ComfyUI broke. Send the job again, or use SaveImage`,
  );
}

/** Nodes that send images of the result as PNG (ComfyUI's `websocket_image_save.py`, comfyui-tooling-nodes). */
const IMAGE_SENDERS: ReadonlySet<string> = new Set([
  'SaveImageWebsocket',
  'ETN_SendImageWebSocket',
]);

const HEAD_BYTES = 8;
const PREVIEW_IMAGE = 1;
const IMAGE_FORMATS: ReadonlyMap<number, string> = new Map([
  [1, 'image/jpeg'],
  [2, 'image/png'],
]);
