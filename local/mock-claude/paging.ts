/** The API's id-based paging: `limit`, `after_id`, `before_id`. Source: the SDK's `Page`. */
import { ApiError } from './errors';

/** One page. */
export interface Page<T> {
  data: T[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
}

/** `limit` of a list request: 20 by default, 1 to 1000. */
export function limitOf(query: URLSearchParams): number {
  const text = query.get('limit') ?? '20';
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new ApiError(400, `limit: Input should be a whole number from 1 to 1000, not ${text}`);
  }
  return limit;
}

function indexOf(items: readonly { id: string }[], name: string, id: string): number {
  const index = items.findIndex((item) => item.id === id);
  if (index === -1) throw new ApiError(400, `${name}: no item ${id}`);
  return index;
}

/** The page of `items` that the query asks for. */
export function pageOf<T extends { id: string }>(items: readonly T[], query: URLSearchParams): Page<T> {
  const limit = limitOf(query);
  const after = query.get('after_id');
  const before = query.get('before_id');
  if (after !== null && before !== null) throw new ApiError(400, 'after_id and before_id cannot be used together');
  let from = after === null ? 0 : indexOf(items, 'after_id', after) + 1;
  let to = Math.min(from + limit, items.length);
  let more = to < items.length;
  if (before !== null) {
    to = indexOf(items, 'before_id', before);
    from = Math.max(0, to - limit);
    more = from > 0;
  }
  const data = items.slice(from, to);
  return { data, has_more: more, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}
