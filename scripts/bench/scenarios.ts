import { noisePictures, type Picture } from './pictures.ts';
import { loadingWorkflow, savingWorkflow, tinyWorkflow, workingWorkflow } from './workflows.ts';

export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly jobs: number;
  /** Jobs queued on the platform at a time; 1 hands out the next one when the last has ended. */
  readonly queued: number;
  /** For the worker, beside what the platform sets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Look at memory over time rather than at single jobs. */
  readonly soak?: true;
  prepare(): Promise<Prepared>;
}

export interface Prepared {
  /** Put into ComfyUI's input folder before the clock starts. */
  readonly pictures: readonly Picture[];
  /** The input of job `job`; `prefix` is where its outputs go, and different for each. */
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

async function inputs(): Promise<Prepared> {
  const sent = await noisePictures('input', 4, 710);
  const images = sent.map(({ name, png }) => ({ name, image: png.toString('base64') }));
  return {
    pictures: [],
    input: (_, prefix) => ({ workflow: loadingWorkflow(prefix, namesOf(sent)), images }),
  };
}

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
    name: 'tiny',
    about: 'EmptyImage 64x64 to SaveImage, one after another',
    jobs: 100,
    queued: 1,
    prepare: tiny,
  },
  {
    name: 'backlog',
    about: 'jobs of about 100 ms waiting in the queue',
    jobs: 50,
    queued: 50,
    env: { JOB_PREFETCH: '0' },
    prepare: working,
  },
  {
    name: 'backlog-prefetch',
    about: 'the same with JOB_PREFETCH=1',
    jobs: 50,
    queued: 50,
    env: { JOB_PREFETCH: '1' },
    prepare: working,
  },
  {
    name: 'inputs',
    about: '4 input images of 1.5 MB each',
    jobs: 20,
    queued: 1,
    prepare: inputs,
  },
  {
    name: 'outputs',
    about: '4 outputs of 1024x1024 noise, more than 15 MB of result',
    jobs: 20,
    queued: 1,
    prepare: outputs,
  },
  {
    name: 'soak',
    about: 'tiny jobs, thousands of them: does memory stay flat?',
    jobs: 10_000,
    queued: 20,
    soak: true,
    prepare: tiny,
  },
];
