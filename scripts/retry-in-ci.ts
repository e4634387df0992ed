import { jest } from '@jest/globals';

/** CI machines are shared and sometimes stall. There a failed test runs once more, and its first failure is printed. */
if (process.env.CI) jest.retryTimes(1, { logErrorsBeforeRetry: true });
