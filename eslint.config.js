import tseslint from 'typescript-eslint';

const ROOMS = ['api', 'cli', 'comfy', 'download', 'runpod', 'simulator', 'storage', 'workflow'];

/** A room of `lib` may use the basics beside it, and the rooms named, never another: each can then be read alone. */
const isolated = (room, ...allowed) => {
  const others = ROOMS.filter((other) => other !== room && !allowed.includes(other));
  return [1, 2, 3].map((depth) => ({
    files: [`lib/${room}/${'*/'.repeat(depth - 1)}*.ts`],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['**/handler/**'], message: 'lib is used by handler, never the reverse.' },
            ...others.map((other) => ({
              group: [`${'../'.repeat(depth)}${other}/**`],
              message: `lib/${room} and lib/${other} do not know each other; the handler joins them.`,
            })),
          ],
        },
      ],
    },
  }));
};

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
  ...isolated('api', 'runpod'),
  ...isolated('cli', 'runpod', 'storage', 'workflow', 'download'),
  ...isolated('comfy'),
  ...isolated('download'),
  ...isolated('runpod'),
  ...isolated('simulator'),
  ...isolated('storage'),
  ...isolated('workflow'),
  {
    files: ['handler/**/*.ts', 'lib/**/*.ts'],
    ignores: ['handler/index.ts', '**/*.test.ts'],
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
    files: ['lib/api/page/*.js'],
    rules: {
      // The linter does not take a JSDoc cast for an assertion; tsc does.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
);
