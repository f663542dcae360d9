/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' } }],
  },
  // Real processes (nginx, Redis, the mock) start in these tests: generous, and never what a test asserts.
  testTimeout: 60_000,
  // Most of a test's time is waiting for processes: more at once than a small machine has cores.
  maxWorkers: 3,
};
