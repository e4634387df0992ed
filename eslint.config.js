import tseslint from 'typescript-eslint';

/** The folders of `lib`, and which other folders each may import. The files directly in `lib` are for everyone. */
const FOLDERS = {
  api: ['http', 'queues'],
  cli: ['download', 'http', 'models', 'queues', 'storage', 'workflow'],
  comfy: ['http', 'processes'],
  download: ['http'],
  http: [],
  models: ['download', 'http', 'processes', 'workflow'],
  processes: [],
  queues: ['http'],
  simulator: [],
  storage: ['http'],
  volume: [],
  worker: ['http', 'queues'],
  workflow: [],
};

/** One lint entry per depth of folder, because the rule compares the relative path that is written in the import. */
const layers = Object.entries(FOLDERS).flatMap(([folder, allowed]) => {
  const forbidden = Object.keys(FOLDERS).filter(
    (other) => other !== folder && !allowed.includes(other),
  );
  return [1, 2, 3, 4].map((depth) => ({
    files: [`lib/${folder}/${'*/'.repeat(depth - 1)}*.ts`],
    ignores: ['**/*.test.ts', '**/test-*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['**/handler/**'], message: 'handler imports lib, never the reverse.' },
            ...forbidden.map((other) => ({
              group: [`${'../'.repeat(depth)}${other}/**`],
              message: `lib/${folder} must not import lib/${other}; handler connects them.`,
            })),
          ],
        },
      ],
    },
  }));
});

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', 'demo_output/', 'jest.config.js', 'eslint.config.js'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: "BinaryExpression[operator='instanceof'][right.name='Error']",
          message:
            "Use isError from lib/errors.ts: inside jest, errors from Node's core are not instances of the test's Error.",
        },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      // What is declared with `using` is used by its end.
      '@typescript-eslint/no-unused-vars': ['error', { ignoreUsingDeclarations: true }],
      '@typescript-eslint/prefer-promise-reject-errors': 'off', // signal.reason is `any` by definition
      '@typescript-eslint/only-throw-error': 'off', // likewise `throw signal.reason`
      'no-console': 'error',
    },
  },
  ...layers,
  {
    files: ['handler/**/*.ts', 'lib/**/*.ts'],
    ignores: ['handler/index.ts', '**/*.test.ts', 'handler/test/rigs/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'handler/index.ts reads the environment; parts get their slice.',
        },
      ],
    },
  },
  {
    files: ['**/*.test.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  { files: ['scripts/**/*.ts'], rules: { 'no-console': 'off' } },
  {
    files: ['lib/api/page/**/*.js'],
    rules: {
      // The linter does not take a JSDoc cast for an assertion; tsc does.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
);
