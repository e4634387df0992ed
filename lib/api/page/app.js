import { askForKey, prepareCodeDialog, showCode } from './dialogs.js';
import { announce, byId } from './dom.js';
import { FormView } from './form/form-view.js';
import { toProblems } from './form/problems.js';
import { Api, ApiError } from './jobs/api.js';
import { HistoryView } from './jobs/history-view.js';
import { stateOf } from './jobs/job-state.js';
import { JobView } from './jobs/job-view.js';
import { Jobs } from './jobs/job.js';
import { Draft } from './workflow/draft.js';
import { listenForFiles, openFile } from './workflow/open-file.js';
import { toRequest, Unusable } from './workflow/request.js';

/**
 * Connects the parts of the page: a request is opened, edited in the form, run, and its job is shown.
 *
 * @import { Job } from './jobs/job.js'
 * @import { JsonText } from './shared/json.js'
 */

/** @type {Draft | undefined} */
let draft;
/** @type {Job | undefined} */
let shown;

const TITLE = document.title;
const api = new Api({ askForKey });
const form = new FormView({ onRun: run });
const jobView = new JobView({ goTo: (nodeId) => form.goTo(nodeId) });
const history = new HistoryView({ show, again, edit });
const jobs = new Jobs(api, {
  onChange: (job) => (job === shown ? show(job) : history.update(job, false)),
  onForget: (job) => history.remove(job),
});

/** Of several files that are opened shortly after each other the last one is shown. @param {() => Promise<JsonText>} read @param {string} name */
async function open(read, name) {
  const number = ++opened;
  try {
    const request = await read();
    if (number === opened) use(new Draft(request, name));
  } catch (error) {
    const problem = toUnusable(error);
    if (!problem) throw error;
    if (number === opened) explain(problem);
  }
}

let opened = 0;

/** @param {unknown} error */
function toUnusable(error) {
  if (error instanceof Unusable) return error;
  if (error instanceof ApiError)
    return new Unusable('This file cannot be used', error.message, error.problems);
  return error instanceof TypeError // of fetch
    ? new Unusable('The worker cannot be reached', 'It is needed to read this file.')
    : undefined;
}

/** @param {BodyInit} file */
const convert = (file) => api.convert(file);

/** @param {Draft} opened */
function use(opened) {
  draft = opened;
  explain(undefined);
  document.body.dataset.stage = 'work';
  form.show(opened);
}

/** @param {Unusable | undefined} problem */
function explain(problem) {
  byId('unusable', HTMLElement).hidden = problem === undefined;
  byId('unusable-title', HTMLElement).textContent = problem?.title ?? '';
  const problems = problem?.problems ?? [];
  const [headline = ''] = (problem?.message ?? '').split('\n'); // the other lines are the problems
  byId('unusable-text', HTMLElement).textContent =
    problems.length > 1 ? headline : (problem?.message ?? '');
  byId('unusable-problems', HTMLElement).replaceChildren(
    ...(problems.length > 1 ? problems : []).map((text) => {
      const item = document.createElement('li');
      item.textContent = text;
      return item;
    }),
  );
  if (problem) announce(`${problem.title}. ${problem.message}`);
}

function run() {
  if (!draft) return;
  if (byId('roll', HTMLInputElement).checked) form.rollSeeds();
  start({ request: draft.text, title: draft.title, origin: draft });
}

/** Runs exactly the same request again. @param {Job} job */
function again({ request, title, origin }) {
  start({ request, title, origin });
}

/** @param {Pick<Job, 'request' | 'title' | 'origin'>} what */
function start(what) {
  const job = jobs.start(what);
  show(job);
  byId('job', HTMLElement).scrollIntoView({ block: 'nearest' });
}

/** @param {Job} job */
function edit(job) {
  void open(() => toRequest(job.request, convert), job.title.slice(0, 60));
}

/** @param {Job} job */
function show(job) {
  const before = shown;
  shown = job;
  if (before && before !== job) history.update(before, false);
  history.update(job, true);
  const isOfForm = job.origin === draft;
  const ids = new Set(isOfForm ? draft?.nodes.map(({ id }) => id) : []);
  const problems = toProblems(job.messages, ids);
  jobView.show(job, problems);
  document.title = job.isOver ? TITLE : `${stateOf(job).word} · ${TITLE}`;
  if (!isOfForm) return;
  form.showProblems(problems);
  form.showWorking(job.isOver ? undefined : job.progress?.node);
}

async function openExample() {
  const response = await fetch('example.json');
  const text = await response.text();
  await open(() => toRequest(text, convert), 'Example');
}

byId('example', HTMLButtonElement).addEventListener('click', () => void openExample());
byId('code', HTMLButtonElement).addEventListener('click', () => {
  if (draft) showCode(draft, api.hasKey);
});
prepareCodeDialog();
listenForFiles({
  onFile: (file) => void open(() => openFile(file, convert), file.name),
  onText: (text) => void open(() => toRequest(text, convert), 'Pasted workflow'),
  onPicture: (picture) => form.givePicture(picture),
});
