import { FormData } from 'undici';
import type { ComfyFile, InputToStore } from '../backend.ts';

/** The form ComfyUI's upload routes take. The content is read only when it is sent, a piece at a time. */
export function uploadForm({
  name,
  content,
  mediaType,
  subfolder = '',
  maskOf,
}: InputToStore): FormData {
  const form = new FormData();
  form.append('image', new File([content], name, { type: mediaType }));
  form.append('overwrite', 'true');
  if (subfolder !== '') form.append('subfolder', subfolder);
  if (maskOf) form.append('original_ref', JSON.stringify(maskOf satisfies ComfyFile));
  return form;
}
