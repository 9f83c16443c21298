#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp_seeds.py [--front|--http] DIR - What fuzzers of MCP begin with.

One line of stdio a file, behind a byte for the fuzzer itself (a space: nothing
special); with --front, the steps of fuzz_mcp_front.c, with --http, the acts of
fuzz_mcp_http.c.
"""
import json
import os
import sys

META = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "s", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "roots": {}},
    }
}
IDS = (0, 1, -1, 2**53 - 1, "a", "", "server-discover-probe-1", "\u4e16\u754c", 'q"\\')
LISTS = (
    "server/discover",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
)
RESULTS = (
    {},
    {"content": []},
    {"resultType": "input_required", "inputRequests": {"k": {"method": "roots/list"}}},
    {"resultType": "zzz"},
    {
        "tools": [
            {
                "name": "x" * 200,
                "inputSchema": {
                    "type": "object",
                    "properties": {"p": {"type": "string", "x-mcp-header": "A\r\nB"}},
                },
            }
        ]
    },
)
PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
INIT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"elicitation": {}, "roots": {}},
    "clientInfo": {"name": "x", "version": "1"},
}
RAW = {
    "batch": f"[{PING}]\n",
    "null-id": '{"jsonrpc":"2.0","id":null,"method":"ping"}\n',
    "float-id": '{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n',
    "obj-id": '{"jsonrpc":"2.0","id":{},"method":"ping"}\n',
    "no-version": '{"id":1,"method":"ping"}\n',
    "dup-keys": '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping","method":"tools/list"}\n',
    "both": '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}\n',
    "trailing": PING + " x\n",
    "crlf": PING + "\r\n",
    "empty": "\n\n\r\n",
    "noise": "npm warn something\n",
    "ansi": "\x1b[31mred\x1b[0m\n",
    "bom": "\ufeff{}\n",
    "truncated": '{"jsonrpc":"2.0","id":1,"method":"pi',
    "two": PING + PING + "\n",
    "esc-method": '{"jsonrpc":"2.0","id":1,"\\u006dethod":"p\\u0069ng"}\n',
    "lone-surrogate": '{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}\n',
    "big-int": '{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}\n',
    "content-length": "Content-Length: 40\r\n\r\n" + PING,
    "bad-utf8": b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe\xc0\x80"}\n',
    "nul": b'{"jsonrpc":"2.0","id":1,\x00"method":"ping"}\n',
    "deep-array": "[" * 20000 + "]" * 20000 + "\n",
    "deep": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":'
    + '{"a":' * 5000
    + "1"
    + "}" * 5000
    + "}}\n",
}


def line(o):
    return json.dumps(o, separators=(",", ":")) + "\n"


def request(method, params=None, i=1):
    r = {"jsonrpc": "2.0", "id": i, "method": method}
    if params is not None:
        r["params"] = params
    return line(r)


def notification(method, params):
    return line({"jsonrpc": "2.0", "method": method, "params": params})


def answer(o, i=0):
    return line({"jsonrpc": "2.0", "id": i, **o})


def call(name, **more):
    return request("tools/call", dict(META, name=name, arguments={}, **more))


def seeds():
    for i in IDS:
        yield "id", request("ping", i=i)
    yield "init", request("initialize", INIT)
    for m in LISTS:
        yield "modern", request(m, META)
        yield "legacy", request(m)
        yield "cursor", request(m, {"cursor": ""})
    for a in ({}, {"message": "hi"}, {"a": [1, [2, [3]]], "b": {"c": None, "d": 1e308, "e": -0.0, "f": "\U0001f600"}}):
        yield "call", request("tools/call", dict(META, name="echo", arguments=a))
    yield "mrtr", call("ask", inputResponses={"a": {"action": "accept"}}, requestState="AAA=")
    yield "asked", call("ask")
    yield "held", call("hold") + notification("notifications/cancelled", {"requestId": 1})
    yield "closed", call("close") + PING + "\n"
    yield "level", request("logging/setLevel", {"level": "error"})
    yield "listen", request(
        "subscriptions/listen",
        dict(META, notifications={"toolsListChanged": True, "resourceSubscriptions": ["file:///a"]}),
    ) + call("x") + notification("notifications/cancelled", {"requestId": 1})
    yield "session", request("initialize", INIT) + notification("notifications/initialized", {}) + request(
        "tools/call", {"name": "ask", "_meta": {"progressToken": 0}}, 2
    ) + answer({"result": {"action": "accept"}}) + answer({"result": {"roots": []}}, 1) + request(
        "tools/call", {"name": "ask"}, 3
    ) + answer({"error": {"code": 1, "message": "no"}}, 2)
    yield "cancel", notification("notifications/cancelled", {"requestId": "x", "reason": "r"})
    yield "progress", notification("notifications/progress", {"progressToken": 0, "progress": 0.5, "total": 1})
    for r in RESULTS:
        yield "result", answer({"result": r}, 1)
    yield "error", answer(
        {"error": {"code": -32022, "message": "m", "data": {"supported": ["2026-07-28"], "requested": "x"}}}, 1
    )
    yield from RAW.items()


def front_seeds():
    init = "p0" + request("initialize", INIT)
    work = "p0" + request("x", {"_meta": {"progressToken": 7}}, 2)
    said = "f0" + notification("notifications/progress", {"progressToken": 7})
    done = "f0" + answer({"result": {}}, 2)
    yield "json", init + work + done
    yield "events", init + work + said + done
    yield "missed", init + work + said + "x0\n" + done + "g18589934593\n"
    yield "retry", init + "p0" + request("retry") + "g08589934592\n"
    yield "stream", init + "g1\n" + "f0" + notification("notifications/tools/list_changed", {}) + "g2\n"
    yield "asked", init + work + "f0" + request("roots/list") + "p1" + answer({"result": {}}, 1)
    yield "cancelled", init + work + "p1" + notification("notifications/cancelled", {"requestId": 2})
    yield "deleted", init + work + "d1\n" + work
    yield "lost", init + work + said + "l0\n" + work
    yield "modern", "m0x\n" + said + "f0" + answer({"result": {}}, 1) + "m1x\nx1\n"
    yield "both", init + "m1x\n" + "f0" + answer({"error": {"code": -32601, "message": ""}}, 1) + work


def http_seeds():
    """S0 initialize, S1 and S2 lists of both eras, S3 a call, S4 initialized."""
    sse = "Content-Type: text/event-stream\n"
    end = "\\n\\n\n"  # Of an event, written as the fuzzer reads it, and of the act.
    listed = '{"jsonrpc":"2.0","id":$ID,"result":{"tools":[%s]}}'
    tool = '{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}}'
    init = 'S0\nH00Mcp-Session-Id: s\nB0{"jsonrpc":"2.0","id":$ID,"result":{"protocolVersion":"2025-11-25"}}\nE0\n'
    opened = init + "S4\nH01\nE0\nH00" + sse
    yield "json", "\0" + init + "S1\nH00\nB0" + listed % "" + "\nE0\nQ\nE0\n"
    yield "events", "\0" + opened + "S1\nH10" + sse + "B1data: " + listed % "" + end + "E1\n"
    yield "resumed", "\0" + init + "S1\nH00" + sse + "B0id: 7\\nretry: 0\\ndata:" + end + "X0\nT\nH00" + sse + (
        "B0data: " + listed % "" + end + "E0\n"
    )
    yield "asked", "\0" + opened + 'B0data: {"jsonrpc":"2.0","id":"a","method":"ping"}' + end + "S5\nH11\nE1\n"
    yield "lost", "\0" + init + "S1\nH02\nE0\nS1\n"
    yield "refused", "\0S1\nH04\nB0" + '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}\nE0\n'
    yield "moved", "\0S1\nH05Location: /other\nE0\nX0\n"
    yield "batch", "\0S1\nS1\nH00\nB0[" + listed % "" + "," + PING + "]\nE0\nC\n"
    yield "params", "\0S2\nH00\nB0" + listed % tool + "\nE0\nS3\nX0\n"
    yield "old", "\1H00" + sse + "B0event: endpoint\\ndata: /p" + end + "S0\nH11\nE1\nB0data: " + listed % "" + end + "X0\n"
    yield "either", "\0S0\nH03\nE0\nH00" + sse + "B0event: endpoint\\ndata: /p" + end + "E0\n"
    yield "closing", "\2" + init + "E0\n"
    yield "small", "\10" + "S1\nH00\nB0" + "x" * 80 + "\n"


def main():
    steps = {"--front": front_seeds, "--http": http_seeds}.get(sys.argv[1])
    out = sys.argv[-1]
    os.makedirs(out, exist_ok=True)
    for n, (name, text) in enumerate((steps or seeds)()):
        with open(os.path.join(out, f"seed-{n:03d}-{name}"), "wb") as f:
            text = text if isinstance(text, bytes) else text.encode()
            f.write(text if steps else b" " + text)


main()
