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
  // Both cores of a small machine. A third worker gained nothing where it is slow, and made tests fail that wait for
  // something to be noticed in time.
  maxWorkers: 2,
};
