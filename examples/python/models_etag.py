"""A list that seldom changes: the second time, it comes only if it is another.

Answers to GET have an ETag. A client that sends it back as If-None-Match is answered 304, without a body, as long as the
list is the same.
"""

import os

import requests

session = requests.Session()
session.headers.update(
    {
        "x-api-key": os.environ["ANTHROPIC_API_KEY"],
        "anthropic-version": "2023-06-01",
    }
)
kept = {}  # path -> (ETag, what was answered with it)


def get(path):
    etag, known = kept.get(path, (None, None))
    response = session.get(
        os.environ["ANTHROPIC_BASE_URL"] + path,
        headers={} if etag is None else {"if-none-match": etag},
        timeout=(5, 30),
    )
    response.raise_for_status()
    print(response.status_code, len(response.content), "bytes")
    if response.status_code == 304:
        return known
    kept[path] = response.headers.get("etag"), response.json()
    return kept[path][1]


for _ in range(2):
    models = get("/v1/models")
print(len(models["data"]), "models")
