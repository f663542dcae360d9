"""Scenarios of the official Python SDK through a gateway: one JSON line each on stdout, {"name", "ok", "problem"}.

Reads CAUSEWAY_URL, CAUSEWAY_KEY and CAUSEWAY_UPSTREAM (the origin that the API behind the gateway says it has).
"""

import io
import json
import os
import time
import traceback
from typing import Any, Callable

import anthropic
from anthropic import Anthropic, DefaultHttpxClient

URL = os.environ["CAUSEWAY_URL"]
KEY = os.environ["CAUSEWAY_KEY"]
UPSTREAM = os.environ["CAUSEWAY_UPSTREAM"]
MODEL = "claude-sonnet-5-5"
ASK: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
FAKE_USAGE = {"usage": {"input_tokens": 9_999_999, "output_tokens": 9_999_999}, "type": "message_delta"}
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]

SCENARIOS: list[tuple[str, Callable[[], None]]] = []


def scenario(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(run: Callable[[], None]) -> Callable[[], None]:
        SCENARIOS.append((name, run))
        return run

    return register


def client(**options: Any) -> Anthropic:
    return Anthropic(**{"api_key": KEY, "base_url": URL, "max_retries": 0, **options})


def scripted(**script: Any) -> dict[str, str]:
    return {"x-mock-script": json.dumps(script)}


def same(found: Any, wanted: Any) -> None:
    assert found == wanted, f"{found!r} instead of {wanted!r}"


@scenario("messages")
def messages() -> None:
    message = client().messages.create(**ASK)
    assert "through-causeway" in message.content[0].text, message
    same(message.stop_reason, "end_turn")
    assert message._request_id and message._request_id.startswith("req_"), message._request_id


@scenario("streaming helper")
def streaming_helper() -> None:
    text = "Eine Brücke über das Wasser — 橋 🌉, in many pieces."
    script = scripted(content=[{"type": "text", "text": text}], deltas=12, pings=3, usage={"input": 7, "output": 5})
    with client().messages.stream(**ASK, extra_headers=script) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    same(len(pieces), 12)
    same("".join(pieces), text)
    same((message.usage.input_tokens, message.usage.output_tokens), (7, 5))


@scenario("streamed events")
def streamed_events() -> None:
    types = [event.type for event in client().messages.create(**ASK, stream=True)]
    same((types[0], types[-1]), ("message_start", "message_stop"))
    same(types.count("content_block_delta"), 5)


@scenario("tool use")
def tool_use() -> None:
    script = scripted(content=[{"type": "tool_use", "name": "weather", "input": FAKE_USAGE}], usage={"input": 7, "output": 5})
    call = {**ASK, "tools": TOOLS, "tool_choice": {"type": "any"}, "extra_headers": script}
    with client().messages.stream(**call) as stream:
        streamed = stream.get_final_message()
    for message in (client().messages.create(**call), streamed):
        same(message.stop_reason, "tool_use")
        same((message.content[0].name, message.content[0].input), ("weather", FAKE_USAGE))
        same((message.usage.input_tokens, message.usage.output_tokens), (7, 5))


@scenario("thinking")
def thinking() -> None:
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "Zm9v+bar/baz=="}, {"type": "text", "text": "Yes."}]
    call = {**ASK, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    with client().messages.stream(**call, extra_headers=scripted(content=blocks)) as stream:
        message = stream.get_final_message()
    same((message.content[0].thinking, message.content[0].signature), ("Hm.", "Zm9v+bar/baz=="))


@scenario("count_tokens")
def count_tokens() -> None:
    counted = client().messages.count_tokens(
        model=MODEL, messages=ASK["messages"], extra_headers=scripted(usage={"input": 4711})
    )
    same(counted.input_tokens, 4711)


@scenario("batches with results")
def batches_with_results() -> None:
    asked: list[str] = []

    # The API names itself in results_url, where the SDK then goes; a client that is to stay with the gateway must say so.
    def stay(request: Any) -> None:
        asked.append(str(request.url))
        if asked[-1].startswith(UPSTREAM):
            request.url = request.url.__class__(asked[-1].replace(UPSTREAM, URL, 1))

    batches = client(http_client=DefaultHttpxClient(event_hooks={"request": [stay]})).messages.batches
    requests = [{"custom_id": "good", "params": ASK}, {"custom_id": "bad", "params": {**ASK, "model": "gpt-1"}}]
    made = batches.create(requests=requests, extra_headers=scripted(batchPolls=1))
    same([batches.retrieve(made.id).processing_status for _ in range(2)], ["in_progress", "ended"])
    results = {line.custom_id: line.result.type for line in batches.results(made.id)}
    same(results, {"good": "succeeded", "bad": "errored"})
    assert asked[-1].startswith(f"{UPSTREAM}/v1/messages/batches/"), asked[-1]
    assert made.id in [batch.id for batch in batches.list(limit=1)]
    doomed = batches.create(requests=requests[:1], extra_headers=scripted(batchPolls=9))
    same(batches.cancel(doomed.id).processing_status, "canceling")


@scenario("models, page by page")
def models() -> None:
    ids = [model.id for model in client().models.list(limit=20)]
    same((len(ids), len(set(ids))), (50, 50))
    same(client().models.retrieve(MODEL).id, MODEL)


@scenario("files")
def files() -> None:
    api = client().beta.files
    content = b"abc\r\n--\0\xff" * (500 * 1024)
    made = api.upload(file=("notes.bin", io.BytesIO(content)))
    same(made.size_bytes, len(content))
    same(api.retrieve_metadata(made.id).filename, "notes.bin")
    assert api.download(made.id).read() == content, "the bytes differ"
    assert made.id in [each.id for each in api.list(limit=1)]
    api.delete(made.id)
    try:
        api.retrieve_metadata(made.id)
    except anthropic.NotFoundError:
        return
    raise AssertionError("it is still there")


UPSTREAM_ERRORS = [
    (400, "invalid_request_error", "BadRequestError"),
    (401, "authentication_error", "AuthenticationError"),
    (403, "permission_error", "PermissionDeniedError"),
    (404, "not_found_error", "NotFoundError"),
    (413, "request_too_large", "ContentTooLargeError"),
    (429, "rate_limit_error", "RateLimitError"),
    (500, "api_error", "InternalServerError"),
    (529, "overloaded_error", "OverloadedError"),
]


def raises(call: Callable[[], Any], status: int, kind: str, name: str) -> anthropic.APIStatusError:
    try:
        call()
    except anthropic.APIStatusError as error:
        same((type(error).__name__, error.status_code), (name, status))
        assert isinstance(error.body, dict), error.body
        same(error.body["error"]["type"], kind)
        assert error.request_id, "no request id"
        return error
    raise AssertionError("nothing was raised")


def add_upstream_error(status: int, kind: str, name: str) -> None:
    @scenario(f"upstream's {status}")
    def run() -> None:
        script = scripted(status=status, message=f"as scripted: {status}")
        error = raises(lambda: client().messages.create(**ASK, extra_headers=script), status, kind, name)
        assert f"as scripted: {status}" in error.message, error.message


for row in UPSTREAM_ERRORS:
    add_upstream_error(*row)


@scenario("gateway's 401")
def gateway_401() -> None:
    wrong = client(api_key="sk-unknown")
    raises(lambda: wrong.messages.create(**ASK), 401, "authentication_error", "AuthenticationError")


@scenario("gateway's 403")
def gateway_403() -> None:
    raises(lambda: client().get("/v1/organizations/me", cast_to=object), 403, "permission_error", "PermissionDeniedError")


@scenario("gateway's 404")
def gateway_404() -> None:
    raises(lambda: client().get("/v2/messages", cast_to=object), 404, "not_found_error", "NotFoundError")


@scenario("gateway's 413")
def gateway_413() -> None:
    large = {**ASK, "messages": [{"role": "user", "content": "x" * (33 * 1024 * 1024)}]}
    raises(lambda: client().messages.create(**large), 413, "request_too_large", "ContentTooLargeError")


@scenario("error inside a stream")
def error_inside_a_stream() -> None:
    try:
        with client().messages.stream(**ASK, extra_headers=scripted(streamError={"atEvent": 4})) as stream:
            stream.get_final_message()
    except anthropic.APIStatusError as error:
        assert isinstance(error.body, dict), error.body
        same(error.body["error"]["type"], "overloaded_error")
        return
    raise AssertionError("nothing was raised")


@scenario("retries")
def retries() -> None:
    tries: list[int] = []
    counting = DefaultHttpxClient(event_hooks={"response": [lambda response: tries.append(response.status_code)]})
    patient = client(max_retries=1, http_client=counting)

    def refused(**headers: str) -> None:
        script = scripted(status=529, headers=headers)
        call = lambda: patient.messages.create(**ASK, extra_headers=script)  # noqa: E731
        raises(call, 529, "overloaded_error", "OverloadedError")

    refused(**{"x-should-retry": "false"})
    same(tries, [529])
    begun = time.monotonic()
    refused(**{"retry-after-ms": "1200"})
    same(tries, [529, 529, 529])
    # Without the header the first retry comes after half a second at most.
    assert time.monotonic() - begun >= 1.2, "it did not wait"


@scenario("bearer")
def bearer() -> None:
    by_token = Anthropic(auth_token=KEY, base_url=URL, max_retries=0)
    assert by_token.messages.create(**ASK).content


def main() -> None:
    for name, run in SCENARIOS:
        problem = ""
        try:
            run()
        except Exception:
            problem = traceback.format_exc(limit=-3)
        print(json.dumps({"name": name, "ok": problem == "", "problem": problem}), flush=True)


main()
