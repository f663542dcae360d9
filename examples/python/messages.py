"""One answer through the gateway with the official SDK.

The SDK reads ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY (a gateway key) by itself: nothing in the code knows the gateway.
"""

import anthropic

client = anthropic.Anthropic()
message = client.messages.create(
    model="claude-sonnet-5-5",
    max_tokens=64,
    messages=[{"role": "user", "content": "Hello"}],
)
print("".join(block.text for block in message.content if block.type == "text"))
