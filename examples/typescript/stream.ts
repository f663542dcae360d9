// A streamed answer through the gateway with the official SDK, each piece printed as it comes.
import Anthropic from '@anthropic-ai/sdk';

async function main(): Promise<void> {
  const client = new Anthropic();
  const stream = client.messages.stream({
    model: 'claude-sonnet-5-5',
    max_tokens: 64,
    messages: [{ role: 'user', content: 'Hello' }],
  });
  stream.on('text', (text) => process.stdout.write(text));
  const message = await stream.finalMessage();
  console.log(`\noutput tokens: ${message.usage.output_tokens}`);
}

void main();
