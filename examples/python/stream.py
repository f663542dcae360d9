"""A streamed answer through the gateway with the official SDK, each piece printed as it comes."""

import anthropic

client = anthropic.Anthropic()
with client.messages.stream(
    model="claude-sonnet-5-5",
    max_tokens=64,
    messages=[{"role": "user", "content": "Hello"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
    print()
    print("output tokens:", stream.get_final_message().usage.output_tokens)
