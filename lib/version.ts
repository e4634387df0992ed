import packageJson from '../package.json' with { type: 'json' };

/** This worker's version, as in package.json. */
export const VERSION: string = packageJson.version;

/** The User-Agent of every request: some firewalls refuse requests without one. Libraries that have their own append it. */
export const USER_AGENT = `comfyui-worker/${VERSION}`;
