// A list that seldom changes: the second time, it comes only if it is another. Answers to GET have an ETag; a client that
// sends it back as If-None-Match is answered 304, without a body, as long as the list is the same.

interface Models {
  readonly data: readonly { readonly id: string }[];
}

/** Path → the ETag, and what was answered with it. */
const kept = new Map<string, { readonly etag: string; readonly models: Models }>();

async function get(path: string): Promise<Models> {
  const known = kept.get(path);
  const response = await fetch(`${process.env['ANTHROPIC_BASE_URL'] ?? ''}${path}`, {
    headers: {
      'x-api-key': process.env['ANTHROPIC_API_KEY'] ?? '',
      'anthropic-version': '2023-06-01',
      ...(known === undefined ? {} : { 'if-none-match': known.etag }),
    },
  });
  const text = await response.text();
  console.log(`${response.status} ${text.length} bytes`);
  if (response.status === 304 && known !== undefined) return known.models;
  if (!response.ok) throw new Error(`${response.status}: ${text}`);
  const models = JSON.parse(text) as Models;
  const etag = response.headers.get('etag');
  if (etag !== null) kept.set(path, { etag, models });
  return models;
}

async function main(): Promise<void> {
  await get('/v1/models');
  const { data } = await get('/v1/models');
  console.log(`${data.length} models`);
}

void main();
