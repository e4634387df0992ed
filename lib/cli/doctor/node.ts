import { Findings, type Check } from './finding.ts';

/** The version everything here is made for. */
export const nodeCheck: Check = {
  subject: 'Node',
  look: ({ nodeVersion }) => {
    const found = new Findings('Node');
    const [major = '0'] = nodeVersion.replace(/^v/, '').split('.');
    if (Number(major) >= LEAST_MAJOR) found.ok(nodeVersion);
    else found.broken(`${nodeVersion} is too old`, `install Node ${LEAST_MAJOR} or newer`);
    return Promise.resolve(found.all);
  },
};

const LEAST_MAJOR = 24;
