"""The fake model provider, by plain HTTP: it says in each protocol what its script says."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.agents import model_server as model
from tests.agents.model_server import ModelServer, Output, Say, Script, says, text, writes

WRITE = {"path": {"type": "string"}, "content": {"type": "string"}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def parameters(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def function(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters(properties)}}


PATHS = {
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "gemini": "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
}
USER = {"role": "user", "content": "Please write."}
BODIES: dict[str, dict[str, Any]] = {
    "anthropic": {
        "model": "m",
        "stream": True,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [USER],
        "tools": [{"name": "Write", "input_schema": parameters({"file_path": {}, "content": {}})}],
    },
    "responses": {
        "model": "m",
        "stream": True,
        "instructions": "Be brief.",
        "input": [USER],
        "tools": [{"type": "function", "name": "exec_command", "parameters": parameters({"cmd": {}})}],
    },
    "chat": {
        "model": "m",
        "stream": True,
        "messages": [{"role": "system", "content": "Be brief."}, USER],
        "tools": [function("write", WRITE)],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Please write."}]}],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "write_file",
                        "parametersJsonSchema": parameters({"file_path": {}, "content": {}}),
                    }
                ]
            }
        ],
    },
}
WIRES = list(PATHS)


def post(server: ModelServer, path: str, body: dict[str, Any], key: str = "k") -> tuple[int, Any, str]:
    """Status, headers, text."""
    request = urllib.request.Request(
        server.url + path, json.dumps(body).encode(), {"Authorization": f"Bearer {key}"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


def ask(server: ModelServer, wire: str, key: str = "k", **more: Any) -> tuple[int, Any, str]:
    return post(server, PATHS[wire], {**BODIES[wire], **more}, key)


def frames(stream: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def said(wire: str, stream: str) -> str:
    """The text of a stream, as a client of that wire puts it together."""
    found = frames(stream)
    match wire:
        case "anthropic":
            return "".join(frame["delta"].get("text", "") for frame in found if "delta" in frame)
        case "responses":
            return "".join(frame["delta"] for frame in found if frame["type"] == "response.output_text.delta")
        case "chat":
            choices = [choice for frame in found for choice in frame["choices"]]
            return "".join(choice["delta"].get("content") or "" for choice in choices)
        case _:
            contents = [frame["candidates"][0]["content"] for frame in found]
            return "".join(part.get("text", "") for content in contents for part in content["parts"])


# --- What is said ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
def test_a_text_arrives_in_pieces_that_make_the_whole(wire: str, server: ModelServer) -> None:
    server.script = text("Good morning to all of you.")
    status, headers, stream = ask(server, wire)
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    assert said(wire, stream) == "Good morning to all of you."


@pytest.mark.parametrize("wire", ["anthropic", "responses", "chat"])
def test_without_a_stream_the_answer_is_one_object(wire: str, server: ModelServer) -> None:
    server.script = text("Hello.")
    _, headers, answer = ask(server, wire, stream=False)
    assert headers["Content-Type"] == "application/json"
    assert "Hello." in json.dumps(json.loads(answer))


def test_gemini_without_a_stream_has_a_path_of_its_own(server: ModelServer) -> None:
    server.script = text("Hello.")
    answer = json.loads(post(server, "/v1beta/models/g:generateContent", BODIES["gemini"])[2])
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "Hello."}]


def test_a_file_is_written_by_the_tool_that_is_offered_in_its_own_words(server: ModelServer) -> None:
    server.script = writes("a.txt", "hi\n")
    calls = {wire: json.dumps(frames(ask(server, wire)[2])) for wire in WIRES}
    assert r"{\"file_path\": \"a.txt\", \"content\": \"hi\\n\"}" in calls["anthropic"]
    assert r"{\"cmd\": \"printf %s 'hi\\n' > a.txt\"}" in calls["responses"]
    assert r"{\"path\": \"a.txt\", \"content\": \"hi\\n\"}" in calls["chat"]
    assert '{"name": "write_file", "args": {"file_path": "a.txt", "content": "hi\\n"}}' in calls["gemini"]


def test_a_free_form_patch_is_preferred_to_a_shell(server: ModelServer) -> None:
    server.script = writes("a.txt", "hi\n")
    tools = [*BODIES["responses"]["tools"], {"type": "custom", "name": "apply_patch"}]
    stream = ask(server, "responses", tools=tools)[2]
    assert "*** Add File: a.txt\\n+hi\\n" in stream
    assert "custom_tool_call" in stream


def test_a_tool_that_asks_for_more_gets_samples_of_it(server: ModelServer) -> None:
    server.script = writes("a.txt", "hi\n")
    shell = {"command": {"type": "string"}, "why": {"type": "string"}, "seconds": {"type": "integer"}}
    stream = ask(server, "chat", tools=[function("bash", shell)])[2]
    assert r"\"why\": \"text\", \"seconds\": 1" in stream


@pytest.mark.parametrize("wire", WIRES)
def test_once_the_tool_has_answered_the_final_text_comes(wire: str, server: ModelServer) -> None:
    server.script = writes(then=Say("It is written."))
    result: dict[str, dict[str, Any]] = {
        "anthropic": {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t", "name": "Write", "input": {}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
            ]
        },
        "responses": {
            "input": [
                USER,
                {"type": "function_call", "call_id": "t", "name": "exec_command", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "t", "output": "ok"},
            ]
        },
        "chat": {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "t", "function": {"name": "write", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "t", "content": "ok"},
            ]
        },
        "gemini": {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"name": "write_file", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "write_file", "response": {}}}]},
            ]
        },
    }
    assert said(wire, ask(server, wire)[2]) == ""
    assert said(wire, ask(server, wire, **result[wire])[2]) == "It is written."
    assert [request.reply for request in server.log.all] == ["Write", "Say"]


def test_structured_output_comes_by_the_tool_for_it_and_ends_there(server: ModelServer) -> None:
    server.script = says(Output())
    tools = [{"name": "StructuredOutput", "input_schema": SCHEMA}]
    stream = ask(server, "anthropic", tools=tools)[2]
    assert r"{\"n\": 1}" in stream
    call = {"type": "tool_use", "id": "t", "name": "StructuredOutput", "input": {"n": 1}}
    given = {"type": "tool_result", "tool_use_id": "t", "content": "fine"}
    messages = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [given]}]
    assert said("anthropic", ask(server, "anthropic", tools=tools, messages=messages)[2]) == "Done."


def test_structured_output_is_the_text_where_the_request_has_a_schema(server: ModelServer) -> None:
    server.script = says(Output())
    asked = {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert said("responses", ask(server, "responses", text=asked)[2]) == '{"n": 1}'
    assert (
        said("chat", ask(server, "chat", response_format={"json_schema": {"schema": SCHEMA}})[2])
        == '{"n": 1}'
    )
    assert (
        said("gemini", ask(server, "gemini", generationConfig={"responseJsonSchema": SCHEMA})[2])
        == '{"n": 1}'
    )


# --- Scripts --------------------------------------------------------------------------------------


def test_turns_come_in_order_and_the_last_one_repeats(server: ModelServer) -> None:
    server.script = says(Say("one"), Output({"n": "two"}), Say("three"))
    assert [said("chat", ask(server, "chat")[2]) for _ in range(4)] == [
        "one",
        '{"n": "two"}',
        "three",
        "three",
    ]


def test_a_script_can_be_switched_while_it_runs(server: ModelServer) -> None:
    server.script = text("before")
    assert said("chat", ask(server, "chat")[2]) == "before"
    server.script = text("after")
    assert said("chat", ask(server, "chat")[2]) == "after"


def test_each_key_can_have_a_script_of_its_own(server: ModelServer) -> None:
    server.give("poor", model.OUT_OF_QUOTA)
    assert ask(server, "chat", key="poor")[0] == 429
    assert ask(server, "chat", key="rich")[0] == 200


def test_a_flaky_model_fails_so_often_and_is_fine_then(server: ModelServer) -> None:
    server.script = model.flaky(2)
    assert [ask(server, "anthropic")[0] for _ in range(4)] == [529, 529, 200, 200]


def test_a_title_is_given_aside_and_takes_no_turn(server: ModelServer) -> None:
    server.script = says(Say("one"), Say("two"))
    title = [{"role": "system", "content": "You generate a title."}, USER]
    assert said("chat", ask(server, "chat", messages=title, tools=[])[2]) == "Done."
    assert said("chat", ask(server, "chat")[2]) == "one"
    assert [request.is_aside for request in server.log.all] == [True, False]
    assert len(server.log.steps) == 1


def test_a_slow_model_waits_before_each_event(server: ModelServer) -> None:
    server.script = text("Hello.").slowly(0.02)
    began = time.monotonic()
    events = frames(ask(server, "anthropic")[2])
    assert time.monotonic() - began >= 0.02 * len(events)


# --- Trouble --------------------------------------------------------------------------------------

REFUSALS = [
    (model.UNAUTHORIZED, 401, "authentication_error", "invalid_api_key", "UNAUTHENTICATED"),
    (model.FORBIDDEN, 403, "permission_error", "invalid_request_error", "PERMISSION_DENIED"),
    (model.RATE_LIMITED, 429, "rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED"),
    (model.OUT_OF_QUOTA, 429, "rate_limit_error", "insufficient_quota", "RESOURCE_EXHAUSTED"),
    (model.SERVER_ERROR, 500, "api_error", "server_error", "INTERNAL"),
    (model.OVERLOADED, 529, "overloaded_error", "server_is_overloaded", "UNAVAILABLE"),
]


@pytest.mark.parametrize(("script", "status", "anthropic", "openai", "gemini"), REFUSALS)
def test_each_wire_has_its_own_words_for_a_refusal(
    script: Script, status: int, anthropic: str, openai: str, gemini: str, server: ModelServer
) -> None:
    server.script = script
    answers = {wire: ask(server, wire) for wire in WIRES}
    assert {answer[0] for answer in answers.values()} == {status}
    assert json.loads(answers["anthropic"][2])["error"]["type"] == anthropic
    assert openai in json.loads(answers["responses"][2])["error"].values()
    assert answers["chat"][2] == answers["responses"][2]
    assert json.loads(answers["gemini"][2])["error"]["status"] == gemini


def test_only_the_plain_401_says_whether_to_try_again(server: ModelServer) -> None:
    server.script = model.UNAUTHORIZED
    assert ask(server, "anthropic")[1]["x-should-retry"] == "false"
    server.script = model.UNAUTHORIZED_BARE
    assert ask(server, "anthropic")[1]["x-should-retry"] is None


def test_a_rate_limit_says_when_to_come_back_only_if_asked_to(server: ModelServer) -> None:
    server.script = model.RATE_LIMITED
    assert ask(server, "chat")[1]["retry-after"] is None
    server.script = model.retry_after(7)
    assert ask(server, "chat")[1]["retry-after"] == "7"


def test_a_used_up_plan_says_when_it_resets_in_the_provider_s_own_fields(server: ModelServer) -> None:
    server.script = model.usage_limit(3600)
    after = int(time.time()) + 3600
    headers = ask(server, "anthropic")[1]
    assert headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert after <= int(headers["anthropic-ratelimit-unified-reset"]) <= after + 10
    error = json.loads(ask(server, "responses")[2])["error"]
    assert (error["type"], error["resets_in_seconds"]) == ("usage_limit_reached", 3600)
    assert after <= error["resets_at"] <= after + 10
    assert '"retryDelay": "3600s"' in ask(server, "gemini")[2]


@pytest.mark.parametrize("wire", WIRES)
def test_a_cut_stream_breaks_off_in_the_middle_of_the_text(wire: str, server: ModelServer) -> None:
    server.script = model.CUT
    with pytest.raises(http.client.IncompleteRead) as broken:
        ask(server, wire)
    begun = said(wire, broken.value.partial.decode())
    assert begun
    assert "This sentence is never".startswith(begun)


def test_a_cut_answer_without_a_stream_is_half_an_object(server: ModelServer) -> None:
    server.script = model.CUT
    with pytest.raises(http.client.IncompleteRead) as broken:
        ask(server, "anthropic", stream=False)
    assert broken.value.partial.startswith(b'{"id"')


def test_garbage_is_a_web_page_with_a_good_status(server: ModelServer) -> None:
    server.script = model.GARBAGE
    status, headers, page = ask(server, "responses")
    assert (status, headers["Content-Type"], page[:6]) == (200, "text/html", "<html>")


@pytest.mark.parametrize("wire", WIRES)
def test_an_empty_reply_is_whole_and_says_nothing(wire: str, server: ModelServer) -> None:
    server.script = model.EMPTY
    status, _, stream = ask(server, wire)
    assert (status, said(wire, stream)) == (200, "")
    assert frames(stream)


def test_a_model_that_hangs_lets_go_when_the_server_ends() -> None:
    failures: list[Exception] = []

    def wait(server: ModelServer) -> None:
        try:
            ask(server, "chat")
        except (OSError, http.client.HTTPException) as dropped:
            failures.append(dropped)

    with ModelServer(model.HANG) as server:
        waiting = threading.Thread(target=wait, args=[server])
        waiting.start()
        server.log.wait_for(lambda request: request.is_step)
        assert waiting.is_alive()
    waiting.join(10)
    assert len(failures) == 1


def test_a_model_that_hangs_in_the_middle_has_begun(server: ModelServer) -> None:
    server.script = model.HANG_AFTER_FIRST
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    connection.request("POST", PATHS["anthropic"], json.dumps(BODIES["anthropic"]))
    answer = connection.getresponse()
    assert answer.readline() == b"event: message_start\n"
    answer.close()
    connection.close()


# --- The log --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
def test_the_log_keeps_who_asked_what_with_which_tools(wire: str, server: ModelServer) -> None:
    server.script = text()
    ask(server, wire, key="mine")
    (request,) = server.log.all
    assert (request.wire, request.key, request.method) == (wire, "mine", "POST")
    assert (request.script, request.reply, request.is_streamed) == ("text", "Say", True)
    assert request.texts("system") == ["Be brief."]
    assert request.texts("user") == ["Please write."]
    assert len(request.tools) == 1
    assert request.model == ("gemini-2.5-pro" if wire == "gemini" else "m")


@pytest.mark.parametrize("header", ["x-api-key", "x-goog-api-key"])
def test_a_key_is_known_by_any_provider_s_header(header: str, server: ModelServer) -> None:
    request = urllib.request.Request(f"{server.url}/v1/models", headers={header: "mine"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.loads(answer.read())["data"]
    (logged,) = server.log.all
    assert (logged.wire, logged.key) == ("models", "mine")


def test_a_key_may_stand_in_the_query(server: ModelServer) -> None:
    post(server, "/v1beta/models/g:generateContent?key=mine", BODIES["gemini"], key="")
    assert server.log.all[0].key == "mine"


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1beta/models/g:countTokens"])
def test_tokens_are_counted_beside_the_conversation(path: str, server: ModelServer) -> None:
    server.script = says(Say("one"), Say("two"))
    assert json.loads(post(server, path, {})[2])["totalTokens"] > 0
    assert server.log.steps == []
    assert said("chat", ask(server, "chat")[2]) == "one"


def test_what_nobody_serves_is_not_found_and_logged(server: ModelServer) -> None:
    assert post(server, "/v1/nothing", {})[0] == 404
    assert server.log.all[0].wire == "unknown"


def test_waiting_for_a_request_that_never_comes_ends(server: ModelServer) -> None:
    with pytest.raises(TimeoutError):
        server.log.wait_for(lambda request: request.is_step, timeout=0.01)
