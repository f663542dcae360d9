// A batch and its results, through the gateway to the end. The API names its own host in `results_url`, and the SDK goes
// there by itself: past the gateway, with the gateway's key. A `fetch` that keeps to the base URL prevents that.
import Anthropic from '@anthropic-ai/sdk';

async function main(): Promise<void> {
  const gateway = new URL(process.env['ANTHROPIC_BASE_URL'] ?? '');
  const client = new Anthropic({
    fetch: (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input);
      return fetch(new URL(url.pathname + url.search, gateway), init);
    },
  });
  const { id } = await client.messages.batches.create({
    requests: [
      {
        custom_id: 'first',
        params: { model: 'claude-sonnet-5-5', max_tokens: 64, messages: [{ role: 'user', content: 'Hello' }] },
      },
    ],
  });
  while ((await client.messages.batches.retrieve(id)).processing_status !== 'ended') {
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  for await (const line of await client.messages.batches.results(id)) {
    console.log(line.custom_id, line.result.type);
  }
}

void main();
