/** @type {import('jest').Config} */
export default {
  testMatch: ['<rootDir>/{handler,lib,scripts}/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript' },
          target: 'es2024',
          experimental: { keepImportAttributes: true },
        },
        module: { type: 'es6', resolveFully: false },
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  setupFilesAfterEnv: ['<rootDir>/scripts/retry-in-ci.ts'],
  testTimeout: 30_000,
};
