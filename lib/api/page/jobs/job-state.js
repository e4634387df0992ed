/**
 * The state of a job in words, for eyes and for screen readers.
 *
 * @import { Job } from './job.js'
 *
 * @param {Job} job
 * @returns {{ word: string, look: 'busy' | 'good' | 'bad' | 'off', spoken: string }}
 */
export function stateOf(job) {
  switch (job.status) {
    case 'SENDING':
      return { word: 'Sending', look: 'busy', spoken: 'Sending the job' };
    case 'IN_QUEUE':
      return { word: 'Waiting', look: 'busy', spoken: 'The job waits for its turn' };
    case 'IN_PROGRESS':
      return { word: percentOf(job), look: 'busy', spoken: workOf(job) };
    case 'COMPLETED':
      return { word: durationOf(job), look: 'good', spoken: `Done: ${countOf(job)}` };
    case 'CANCELLED':
      return { word: 'Cancelled', look: 'off', spoken: 'The job was cancelled' };
    case 'TIMED_OUT':
      return { word: 'Timed out', look: 'bad', spoken: 'The job took too long' };
    case 'FAILED':
    case 'REFUSED':
      return { word: 'Failed', look: 'bad', spoken: `The job failed. ${job.messages.join(' ')}` };
  }
}

/** @param {Job} job */
const percentOf = ({ progress }) => (progress ? `${progress.percent} %` : 'Running');

/** @param {Job} job */
const workOf = ({ progress }) =>
  progress?.nodeTitle ? `Working on ${progress.nodeTitle}` : 'Running';

/** @param {Job} job */
function countOf({ files }) {
  return files.length === 1 ? 'one file' : `${files.length} files`;
}

/** @param {Job} job */
function durationOf({ end }) {
  const ms = end?.executionTime;
  if (ms === undefined) return 'Done';
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}
