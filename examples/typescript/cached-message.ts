// An answer that may come from the gateway's cache, with the official SDK. Nothing is stored unless somebody asks for it:
// the header says that an answer of up to five minutes will do. The same request is answered with the same bytes then, at
// once and at no cost. A stream may be asked for in the same way.
import Anthropic from '@anthropic-ai/sdk';

async function main(): Promise<void> {
  const client = new Anthropic();
  for (let time = 0; time < 2; time += 1) {
    const { data: message, response } = await client.messages
      .create(
        {
          model: 'claude-sonnet-5-5',
          max_tokens: 64,
          messages: [{ role: 'user', content: 'Hello' }],
        },
        { headers: { 'x-causeway-cache': 'max-age=300' } },
      )
      .withResponse();
    // MISS: from the upstream. HIT: a copy. STALE: an older copy, for the upstream does not answer. BYPASS: not cacheable.
    console.log(`${response.headers.get('x-causeway-cache') ?? ''} ${response.headers.get('age') ?? '0'} s old`);
    console.log(message.content.map((block) => (block.type === 'text' ? block.text : '')).join(''));
  }
}

void main();
