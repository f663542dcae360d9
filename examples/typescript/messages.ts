// One answer through the gateway with the official SDK, which reads ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY (a gateway
// key) by itself: nothing in the code knows the gateway.
import Anthropic from '@anthropic-ai/sdk';

async function main(): Promise<void> {
  const client = new Anthropic();
  const message = await client.messages.create({
    model: 'claude-sonnet-5-5',
    max_tokens: 64,
    messages: [{ role: 'user', content: 'Hello' }],
  });
  console.log(message.content.map((block) => (block.type === 'text' ? block.text : '')).join(''));
}

void main();
