import { silentLog } from '../../../lib/comfy/test-comfy.ts';
import { JobScope } from '../../job-scope.ts';

/** The scope of a job that is never late, for tests of single steps. */
export function openTestScope(signal: AbortSignal = new AbortController().signal): JobScope {
  return new JobScope({ jobId: 'test', signal, log: silentLog, timeoutMs: 3_600_000 });
}
