// What the SDK does when the gateway or the API refuses: it waits as long as `retry-after` says and tries again, up to
// maxRetries times; what is left after that is an exception of its own class, with the request's id for the log.
import Anthropic from '@anthropic-ai/sdk';

async function main(): Promise<void> {
  const client = new Anthropic({ maxRetries: 4 });
  try {
    const message = await client.messages.create({
      model: 'claude-sonnet-5-5',
      max_tokens: 64,
      messages: [{ role: 'user', content: 'Hello' }],
    });
    console.log(message.stop_reason);
  } catch (error) {
    if (error instanceof Anthropic.RateLimitError) {
      console.error(`still limited after all retries; request ${error.requestID ?? 'unknown'}`);
    } else if (error instanceof Anthropic.APIError) {
      console.error(`${error.status ?? 'no answer'}: ${error.message}; request ${error.requestID ?? 'unknown'}`);
    } else {
      throw error;
    }
    process.exitCode = 1;
  }
}

void main();
