import { jest } from '@jest/globals';

/** Machines of CI are shared and stall at times: there a test may try once more, and what failed first is printed. */
if (process.env.CI) jest.retryTimes(1, { logErrorsBeforeRetry: true });
