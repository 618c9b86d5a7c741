import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'
import rooms from './scripts/boundaries.mjs'

/** What this Node version offers everywhere. */
const nodeGlobals = Object.fromEntries(
  Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']),
)

const useClock = 'Take the time from the Clock of the owner (src/util/clock.ts).'

const noNamespace = {
  selector: 'ImportDeclaration[source.value=/^node:/] > ImportNamespaceSpecifier',
  message:
    'Import the default: a bundler turns a member of a namespace into a name that older versions of Node lack.',
}

/** Rooms that run in browsers. */
const browserRooms = ['client', 'elements', 'live']

export default defineConfig(
  // The site has packages of its own, which are installed when it is built.
  globalIgnores(['scripts/wasm/', 'dist/', '.dist-*/', 'coverage/', '.cache/', 'models/', 'site/']),
  // No file excuses itself from a rule.
  { linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    rules: {
      'max-lines': ['error', { max: 500, skipBlankLines: false, skipComments: false }],
      eqeqeq: 'error',
      'no-console': 'off',
      'no-var': 'error',
      'prefer-const': 'error',
      'object-shorthand': 'error',
    },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: nodeGlobals },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/array-type': 'error',
      '@typescript-eslint/no-inferrable-types': 'error',
      '@typescript-eslint/prefer-function-type': 'error',
      '@typescript-eslint/prefer-includes': 'error',
      '@typescript-eslint/prefer-nullish-coalescing': 'error',
      '@typescript-eslint/prefer-optional-chain': 'error',
      '@typescript-eslint/prefer-string-starts-ends-with': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'all' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // `void | Promise<void>` is how a callback says that it may take its time.
      '@typescript-eslint/no-invalid-void-type': 'off',
      // An async function without await still turns a throw into a rejection, which a Promise contract needs.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['src/**/*.ts', 'adapters/**/*.ts'],
    plugins: { rooms },
    rules: {
      'rooms/order': 'error',
      'no-console': 'error',
      'no-restricted-syntax': ['error', noNamespace],
    },
  },
  {
    files: ['src/**/*.ts', 'adapters/**/*.ts'],
    ignores: ['src/disk/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: ['node:fs', 'fs', 'node:fs/promises', 'fs/promises'].map((name) => ({
            name,
            message: 'Import src/disk/fs.ts: it is the one place to simulate or instrument the disk.',
          })),
        },
      ],
    },
  },
  {
    // Time comes from a clock, so that tests can move it by hand. Code for browsers has no such clock.
    files: ['src/**/*.ts'],
    ignores: ['src/util/clock.ts', ...browserRooms.map((room) => `src/${room}/**`)],
    rules: {
      'no-restricted-globals': [
        'error',
        ...['setTimeout', 'setInterval', 'performance'].map((name) => ({ name, message: useClock })),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: useClock },
        ...['setTimeout', 'setInterval', 'performance'].map((property) => ({
          object: 'globalThis',
          property,
          message: useClock,
        })),
      ],
      '@typescript-eslint/no-restricted-imports': [
        'error',
        ...['timers', 'timers/promises', 'perf_hooks']
          .flatMap((name) => [name, `node:${name}`])
          .map((name) => ({
            name,
            allowImportNames: ['setImmediate', 'monitorEventLoopDelay'],
            message: useClock,
          })),
      ],
    },
  },
  {
    // What two adapters need belongs into src/http.
    files: ['adapters/**/*.ts'],
    rules: { 'max-lines': ['error', { max: 60, skipBlankLines: false, skipComments: false }] },
  },
  {
    files: ['src/cli/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    // A command is run inside other processes too, with streams and variables of its own.
    files: ['src/cli/**/*.ts'],
    ignores: ['src/cli/cli.ts', 'src/cli/process/surroundings.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        noNamespace,
        {
          selector:
            'MemberExpression[object.name="process"][property.name=/^(stdin|stdout|stderr|env|argv|exit|exitCode|on|once|off)$/]',
          message: 'Ask src/cli/process/surroundings.ts: the process may belong to somebody else.',
        },
      ],
    },
  },
  {
    files: ['src/index.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'Program > :not(ExportNamedDeclaration[source])',
          message: 'index.ts is a list of explicit named re-exports, nothing else.',
        },
      ],
    },
  },
  {
    // File and host names need patterns that name control characters.
    files: ['src/disk/names.ts', 'src/download/options.ts', 'src/sources/identify.ts'],
    rules: { 'no-control-regex': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Matchers such as expect.any() and parsed JSON are `any` by nature.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Reading the umask races with other threads; a test process has none that make files.
      '@typescript-eslint/no-deprecated': [
        'error',
        { allow: [{ from: 'package', name: 'umask', package: 'process' }] },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'MemberExpression[object.name=/^(it|test|describe|suite)$/][property.name=/^(only|skip|todo|fails)$/]',
          message: 'A test runs, or it is not there.',
        },
        {
          selector:
            'CallExpression[callee.name=/^(it|test|describe)$/] > ObjectExpression > Property[key.name=/^(retry|repeats)$/]',
          message: 'A test that needs a second try hides a race.',
        },
        {
          selector: 'AssignmentExpression[left.object.name="process"][left.property.name="env"]',
          message:
            'Another object there is no environment any more; put single variables back, or use vi.stubEnv.',
        },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    ignores: ['test/support/properties.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { name: 'fast-check', message: 'test/support/properties.ts draws the same cases each time.' },
      ],
    },
  },
)
