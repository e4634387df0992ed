import { isPng, pngTexts } from './png-text.js';
import { recognise, Unusable } from './recognise.js';

/**
 * Reads what a person dropped or chose: JSON, or a PNG that ComfyUI made.
 *
 * @param {File} file
 * @throws {Unusable}
 */
export async function openFile(file) {
  if (file.size > MAX_BYTES) throw tooLarge(file);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (isPng(bytes)) return recognise(workflowOfPng(bytes));
  if (file.type.startsWith('image/')) throw onlyPng();
  return recognise(new TextDecoder().decode(bytes));
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function workflowOfPng(bytes) {
  const texts = pngTexts(bytes);
  const text = texts.get('prompt') ?? texts.get('workflow');
  if (text) return text;
  throw new Unusable(
    'This picture carries no workflow',
    'ComfyUI writes the workflow into the PNGs it saves, but many programs remove it on the way. To use it as an input picture, drop it on a “Load Image” node.',
  );
}

const onlyPng = () =>
  new Unusable(
    'Only PNGs carry a workflow',
    'Drop the workflow’s JSON file, or a PNG saved by ComfyUI. To use this as an input picture, drop it on a “Load Image” node.',
  );

/** @param {File} file */
const tooLarge = (file) =>
  new Unusable(
    'This file is too large',
    `${file.name} has ${Math.round(file.size / 1e6)} MB; a job may have 20 MB at most.`,
  );

const MAX_BYTES = 64e6;
