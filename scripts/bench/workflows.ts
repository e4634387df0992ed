/** Workflows of core nodes only, so that they run on the embedded ComfyUI and on any real one. */

type Workflow = Readonly<Record<string, unknown>>;

/** Nothing to speak of: 64x64 in one colour. */
export function tinyWorkflow(job: number, prefix: string): Workflow {
  return {
    '1': node('EmptyImage', { width: 64, height: 64, batch_size: 1, color: job % 0xffffff }),
    '2': node('SaveImage', { images: ['1', 0], filename_prefix: prefix }),
  };
}

/** About a tenth of a second of arithmetic that no cache has, and a small picture at the end. */
export function workingWorkflow(job: number, prefix: string, picture: string): Workflow {
  const factor = 1.5 + (job % 100) / 100;
  return {
    '1': node('LoadImage', { image: picture }),
    '2': node('ImageScaleBy', { image: ['1', 0], upscale_method: 'lanczos', scale_by: factor }),
    '3': thumbnail('2'),
    '4': node('SaveImage', { images: ['3', 0], filename_prefix: prefix }),
  };
}

/** Every picture is loaded; what comes back is small. */
export function loadingWorkflow(prefix: string, pictures: readonly string[]): Workflow {
  return Object.fromEntries(
    pictures.flatMap((picture, index) => [
      [`${index}1`, node('LoadImage', { image: picture })],
      [`${index}2`, thumbnail(`${index}1`)],
      [`${index}3`, node('SaveImage', { images: [`${index}2`, 0], filename_prefix: prefix })],
    ]),
  );
}

/** Every picture comes back as it is. */
export function savingWorkflow(prefix: string, pictures: readonly string[]): Workflow {
  return Object.fromEntries(
    pictures.flatMap((picture, index) => [
      [`${index}1`, node('LoadImage', { image: picture })],
      [`${index}2`, node('SaveImage', { images: [`${index}1`, 0], filename_prefix: prefix })],
    ]),
  );
}

function thumbnail(source: string) {
  return node('ImageScale', {
    image: [source, 0],
    upscale_method: 'area',
    width: 64,
    height: 64,
    crop: 'disabled',
  });
}

function node(classType: string, inputs: Readonly<Record<string, unknown>>) {
  return { class_type: classType, inputs };
}
