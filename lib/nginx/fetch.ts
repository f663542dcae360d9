import type { Environment, RouteClass } from '../config';
import type { Placement } from './placement';

/** Classes whose answers can be stored, and so are fetched for several clients at once. */
export const CACHED_CLASSES = ['generate', 'count', 'models'] as const satisfies readonly RouteClass[];

/** The most bytes of a socket's path (unix(7): sun_path, less its final zero). */
export const MOST_SOCKET_PATH_BYTES = 107;

/** Where that socket is unless the placement says otherwise. */
export function defaultFetchSocket(runtimeDirectory: string): string {
  return `${runtimeDirectory}/proxy/fetch.sock`;
}

/**
 * The socket of the internal listener. By default it lies in a directory that nginx makes for its workers alone (mode
 * 0700), and does not use otherwise, as answers are never buffered.
 *
 * @throws Error where its path is too long.
 */
export function fetchSocket({ runtimeDirectory, fetchSocket: given }: Placement): string {
  const path = given ?? defaultFetchSocket(runtimeDirectory);
  if (Buffer.byteLength(path) > MOST_SOCKET_PATH_BYTES) {
    throw new Error(`the path of a socket may have ${MOST_SOCKET_PATH_BYTES} bytes; ${path} has more`);
  }
  return path;
}

/**
 * The most answers that a worker fetches at once; beyond it, requests go their own way. Each fetch takes three connections
 * besides those of a client and an upstream: one to the internal listener, its other end, and that of its timer.
 */
export function mostFetches({ limits }: Environment): number {
  return Math.ceil(limits.workerConnections / 4);
}

/** What a worker's flights may hold, in bytes: beyond it, answers pass through without being stored. */
export function heldBytes({ cache }: Environment): number {
  return Math.max(cache.nodeBytes / 2, 4 * cache.maxItemBytes);
}
