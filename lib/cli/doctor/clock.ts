import { describeError } from '../../errors.ts';
import { Findings, type Check } from './finding.ts';
import { ask } from './get-json.ts';

/** Stores refuse signatures a quarter of an hour old or from the future: clocks are compared where one can be seen. */
export const clockCheck: Check = {
  subject: 'Clock',
  look: async ({ config }, signal) => {
    const found = new Findings('Clock');
    const url = config.BUCKET_ENDPOINT_URL ?? config.RUNPOD_WEBHOOK_GET_JOB;
    if (url === undefined) return found.skipped('there is no server to compare it with').all;
    const { origin } = new URL(url);
    try {
      const response = await ask(origin, signal, 'HEAD');
      compare(found, origin, response.headers.get('date'));
    } catch (error) {
      found.skipped(`it cannot be compared: ${describeError(error)}`);
    }
    return found.all;
  },
};

function compare(found: Findings, origin: string, date: string | null): void {
  const told = Date.parse(date ?? '');
  if (Number.isNaN(told)) {
    found.skipped(`${origin} does not tell its time`);
    return;
  }
  const seconds = Math.round(Math.abs(Date.now() - told) / 1000);
  const text = `${seconds} s from that of ${origin}`;
  if (seconds > BROKEN_S) found.broken(text, ADVICE);
  else if (seconds > WARNING_S) found.warning(text, ADVICE);
  else found.ok(text);
}

const ADVICE = 'let this machine set its clock from the network (NTP)';
const WARNING_S = 60;
const BROKEN_S = 600;
