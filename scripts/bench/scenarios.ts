import { noisePictures, type Picture } from './pictures.ts';

export type Scenario = JobScenario | StartScenario | ClientScenario;

interface Named {
  readonly name: string;
  readonly about: string;
  /** Jobs, starts, or rounds. */
  readonly count: number;
  /** Environment variables for the worker, in addition to the platform's. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A worker is started several times, each time until it asks for jobs. */
export interface StartScenario extends Named {
  readonly kind: 'starts';
}

/** A worker runs jobs. */
export interface JobScenario extends Named {
  readonly kind: 'jobs';
  /** Jobs waiting on the platform at a time. With 1, the next job is submitted when the last has ended. */
  readonly queued: number;
  /** Measure memory over time instead of single jobs. */
  readonly soak?: true;
  prepare(): Promise<Prepared>;
}

/** A worker serves its local API to many clients at once, in several rounds. Before the first it has just been started. */
export interface ClientScenario extends Named {
  readonly kind: 'rounds';
  readonly clients: number;
  prepare(): Promise<Prepared>;
}

export interface Prepared {
  /** Images uploaded to ComfyUI before the measurement. */
  readonly pictures: readonly Picture[];
  /** The input of job number `job`. `prefix` names its output files and is different for each job. */
  input(job: number, prefix: string): unknown;
}

const tiny = (): Promise<Prepared> =>
  Promise.resolve({
    pictures: [],
    input: (job, prefix) => ({ workflow: tinyWorkflow(job, prefix) }),
  });

async function working(): Promise<Prepared> {
  const pictures = await noisePictures('work', 1, 1024);
  const [picture] = namesOf(pictures);
  return {
    pictures,
    input: (job, prefix) => ({ workflow: workingWorkflow(job, prefix, picture ?? '') }),
  };
}

const inputs = (count: number) => async (): Promise<Prepared> => {
  const sent = await noisePictures('input', count, 710);
  const images = sent.map(({ name, png }) => ({ name, image: png.toString('base64') }));
  return {
    pictures: [],
    input: (_, prefix) => ({ workflow: loadingWorkflow(prefix, namesOf(sent)), images }),
  };
};

async function outputs(): Promise<Prepared> {
  const pictures = await noisePictures('output', 4, 1024);
  return {
    pictures,
    input: (_, prefix) => ({ workflow: savingWorkflow(prefix, namesOf(pictures)) }),
  };
}

const namesOf = (pictures: readonly Picture[]) => pictures.map(({ name }) => name);

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'start',
    about: 'start of the process to the first request for jobs, in a fresh container',
    kind: 'starts',
    count: 10,
    env: { NODE_DISABLE_COMPILE_CACHE: '1' },
  },
  {
    name: 'start-again',
    about: 'the same, with the compile cache filled by an earlier start',
    kind: 'starts',
    count: 10,
  },
  {
    name: 'tiny',
    about: 'EmptyImage 64x64 to SaveImage, one job at a time',
    count: 100,
    kind: 'jobs',
    queued: 1,
    prepare: tiny,
  },
  {
    name: 'backlog',
    about: 'jobs of about 100 ms waiting in the queue',
    count: 50,
    kind: 'jobs',
    queued: 50,
    env: { JOB_PREFETCH: '0' },
    prepare: working,
  },
  {
    name: 'backlog-prefetch',
    about: 'the same with JOB_PREFETCH=1',
    count: 50,
    kind: 'jobs',
    queued: 50,
    env: { JOB_PREFETCH: '1' },
    prepare: working,
  },
  {
    name: 'inputs',
    about: '4 input images of 1.5 MB each',
    count: 20,
    kind: 'jobs',
    queued: 1,
    prepare: inputs(4),
  },
  {
    name: 'outputs',
    about: '4 outputs of 1024x1024 noise, a result of more than 15 MB',
    count: 20,
    kind: 'jobs',
    queued: 1,
    prepare: outputs,
  },
  {
    name: 'soak',
    about: 'thousands of tiny jobs; memory should stay flat',
    count: 10_000,
    kind: 'jobs',
    queued: 20,
    soak: true,
    prepare: tiny,
  },
  {
    name: 'api',
    about:
      '200 clients of the local API at once, each with a tiny job it asks for ten times a second',
    count: 5,
    kind: 'rounds',
    clients: 200,
    prepare: tiny,
  },
  {
    name: 'api-inputs',
    about: '50 clients at once, each sends an image of 1.5 MB',
    count: 5,
    kind: 'rounds',
    clients: 50,
    prepare: inputs(1),
  },
];

// The workflows use core nodes only, so that they run on the embedded ComfyUI and on any real one.

type Workflow = Readonly<Record<string, unknown>>;

/** A minimal workflow: 64x64 pixels of one colour. */
function tinyWorkflow(job: number, prefix: string): Workflow {
  return {
    '1': node('EmptyImage', { width: 64, height: 64, batch_size: 1, color: job % 0xffffff }),
    '2': node('SaveImage', { images: ['1', 0], filename_prefix: prefix }),
  };
}

/** About 0.1 s of uncached computation, and a small image. */
function workingWorkflow(job: number, prefix: string, picture: string): Workflow {
  const factor = 1.5 + (job % 100) / 100;
  return {
    '1': node('LoadImage', { image: picture }),
    '2': node('ImageScaleBy', { image: ['1', 0], upscale_method: 'lanczos', scale_by: factor }),
    '3': thumbnail('2'),
    '4': node('SaveImage', { images: ['3', 0], filename_prefix: prefix }),
  };
}

/** Loads every image; the output is small. */
function loadingWorkflow(prefix: string, pictures: readonly string[]): Workflow {
  return Object.fromEntries(
    pictures.flatMap((picture, index) => [
      [`${index}1`, node('LoadImage', { image: picture })],
      [`${index}2`, thumbnail(`${index}1`)],
      [`${index}3`, node('SaveImage', { images: [`${index}2`, 0], filename_prefix: prefix })],
    ]),
  );
}

/** Returns every image unchanged. */
function savingWorkflow(prefix: string, pictures: readonly string[]): Workflow {
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
