/** @type {import('jest').Config} */
export default {
  testMatch: ['<rootDir>/{handler,lib,scripts}/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2024' },
        module: { type: 'es6', resolveFully: false },
      },
    ],
  },
  testTimeout: 30_000,
  // A test that leaves a socket, a timer or a server behind must not go unnoticed.
  detectOpenHandles: false,
  forceExit: false,
};
