"""An answer that may come from the gateway's cache, with the official SDK.

Nothing is stored unless somebody asks for it: the header says that an answer of up to five minutes will do. The same
request is answered with the same bytes then, at once and at no cost.
"""

import anthropic

client = anthropic.Anthropic()
for _ in range(2):
    response = client.messages.with_raw_response.create(
        model="claude-sonnet-5-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Hello"}],
        extra_headers={"x-causeway-cache": "max-age=300"},
    )
    message = response.parse()
    # MISS: from the upstream. HIT: a copy. STALE: an older copy, for the upstream does not answer. BYPASS: not cacheable.
    print(response.headers.get("x-causeway-cache"), response.headers.get("age", "0"), "s old")
    print("".join(block.text for block in message.content if block.type == "text"))
