"""A batch and its results, through the gateway to the end.

The API names its own host in `results_url`, and the SDK goes there by itself: past the gateway, with the gateway's key. A
hook that keeps every request at the base URL prevents that.
"""

import time

import anthropic

gateway = anthropic.Anthropic().base_url


def stay(request):
    request.url = request.url.copy_with(scheme=gateway.scheme, host=gateway.host, port=gateway.port)
    request.headers["host"] = request.url.netloc.decode()


client = anthropic.Anthropic(http_client=anthropic.DefaultHttpxClient(event_hooks={"request": [stay]}))
batch = client.messages.batches.create(
    requests=[
        {
            "custom_id": "first",
            "params": {
                "model": "claude-sonnet-5-5",
                "max_tokens": 64,
                "messages": [{"role": "user", "content": "Hello"}],
            },
        }
    ]
)
while client.messages.batches.retrieve(batch.id).processing_status != "ended":
    time.sleep(1)
for line in client.messages.batches.results(batch.id):
    print(line.custom_id, line.result.type)
