"""The API with nothing but `requests`.

The gateway is addressed by its base URL. It is a reverse proxy: `proxies=` of requests, and HTTP_PROXY or HTTPS_PROXY in
the environment, are for forward proxies and must not name it.
"""

import os
import time

import requests

session = requests.Session()  # one connection for all calls
session.headers.update(
    {
        "x-api-key": os.environ["ANTHROPIC_API_KEY"],
        "anthropic-version": "2023-06-01",
    }
)


def post(path, body, attempts=3):
    """Sends a request; where the answer says so, waits as long as it says and sends it again."""
    for attempt in range(attempts):
        # (connect, read) in seconds: a long answer may rightly take ten minutes.
        response = session.post(os.environ["ANTHROPIC_BASE_URL"] + path, json=body, timeout=(5, 600))
        retry = response.headers.get("x-should-retry")
        again = retry == "true" or (retry is None and (response.status_code in (408, 409, 429) or response.status_code >= 500))
        if not again or attempt == attempts - 1:
            return response
        time.sleep(float(response.headers.get("retry-after", 2**attempt / 2)))


response = post(
    "/v1/messages",
    {
        "model": "claude-sonnet-5-5",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Hello"}],
    },
)
if response.status_code != 200:
    error = response.json()["error"]
    raise SystemExit(f"{response.status_code} {error['type']}: {error['message']} ({response.headers.get('request-id')})")
print("".join(block["text"] for block in response.json()["content"] if block["type"] == "text"))
