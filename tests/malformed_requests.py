"""Requests that no honest client sends, from a seed: their bytes, and nothing about the answer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

HOST = b"Host: 127.0.0.1\r\n"

PATHS = ("/predict/apples", "/invocations", "/models/apples/invocations", "/v2/models/apples/infer")

BIG = 300_000
"""Bytes of what is large but not refused for its size alone."""


@dataclass(frozen=True)
class Malformed:
    """The bytes of one connection."""

    kind: str
    sent: bytes
    is_whole: bool = True
    """Whether the server has all that it waits for."""


def malformed(seed: int, count: int) -> Iterator[Malformed]:
    """Yield so many of them, every kind in its turn."""
    random = Random(seed)
    kinds = [*_KINDS.items()]
    for number in range(count):
        kind, make = kinds[number % len(kinds)]
        found = make(random)
        sent, is_whole = found if isinstance(found, tuple) else (found, True)
        yield Malformed(kind, sent, is_whole)


def post(path: str, body: bytes, *, kind: str = "application/json", more: bytes = b"") -> bytes:
    """Return a request whose head is right."""
    head = f"POST {path} HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode("latin-1") + HOST + more + b"\r\n" + body


Made = bytes | tuple[bytes, bool]


def _value(random: Random) -> bytes:
    """Return a JSON value that no column expects, or something that is no JSON."""
    depth = random.choice([3, 200, 960, 975, 985, 990, 1_100, 50_000])
    return random.choice(
        [
            b"NaN",
            b"-Infinity",
            b"1e999",
            b"-1e308",
            b"5e-324",
            b"1" * random.choice([30, 300, 4_000, 5_000, BIG]),
            b"0." + b"3" * 10_000,
            b"-0",
            b"1e",
            b"01",
            b"+1",
            b"0x10",
            b"1_000",
            b"true",
            b"null",
            b"undefined",
            b"'red'",
            b'"\\ud800"',
            b'"\\udc00\\ud800"',
            b'"\xed\xa0\x80"',
            b'"\xff\xfe"',
            b'"\\u0000"',
            b'"\x00"',
            b'"' + b"x" * random.choice([1_000, BIG]) + b'"',
            b'"' + "\u202e\u0301\U0001f9a0".encode() * 100 + b'"',
            b'"3.5; DROP TABLE request"',
            b'"{{7*7}}${jndi:ldap://127.0.0.1/}"',
            b"[" * depth + b"]" * depth,
            b'{"a":' * depth + b"1" + b"}" * depth,
            b"[" * depth,
            b"[" + b"1," * 5_000 + b"1]",
            json.dumps({str(i): i for i in range(2_000)}).encode(),
        ]
    )


def _row(random: Random) -> bytes:
    first, second = random.choice([(_value(random), b'"red"'), (b"3.5", _value(random))])
    return b'{"size": ' + first + b', "colour": ' + second + b"}"


def _json(random: Random) -> Made:
    row = _row(random)
    query = random.choice(["", "?explain=true", "?partial=true", "?partial=x", "?" + "a=&" * 30])
    body = random.choice([row, b"[" + row + b"]", b"[" + row + b"," + row + b"]"])
    return post("/predict/apples" + query, body)


def _duplicates(random: Random) -> Made:
    names = [random.choice(["size", "colour", "Size", "__proto__", "", "\0"]) for _ in range(50)]
    pairs = ",".join(f"{json.dumps(name)}: {random.choice([1, 3.5, 'null'])}" for name in names)
    return post(random.choice(PATHS), b"{" + pairs.encode() + b"}")


def _bomb(random: Random) -> Made:
    piece, end = random.choice([(b"[],", b"[]"), (b"{},", b"{}"), (b'"",', b'""'), (b"1,", b"1")])
    body = b"[" + piece * (BIG // len(piece)) + end + b"]"
    return post(random.choice(PATHS), random.choice([body, b'{"instances": ' + body + b"}"]))


def _noise(random: Random) -> Made:
    return post(random.choice(PATHS), random.randbytes(random.randrange(2_000)))


def _encoded(random: Random) -> Made:
    text = '{"size": 3.5, "colour": "red"}'
    body = text.encode(random.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7", "cp500"]))
    more = random.choice([b"", b"Content-Encoding: gzip\r\n", b"Content-Encoding: br, zstd\r\n"])
    kind = random.choice(["application/json; charset=utf-16", "text/plain", "", "x" * 3_000])
    return post(random.choice(PATHS), body, kind=kind, more=more)


def _csv(random: Random) -> Made:
    body = random.choice(
        [
            b"",
            b"\n",
            b"\r",
            b"\xef\xbb\xbf",
            b"size,colour",
            b"size,colour\n3.5\n",
            b"size,size\n1,2\n",
            b"size,colour\n3.5,red\0\n",
            b'size,colour\n"3.5,red\n',
            b"size,colour\n" + b"x" * 200_000 + b",red\n",
            b"size\n" * (BIG // 5),
            b"," * BIG,
            b"\n" * BIG,
            b"size;colour\n3.5;red\n",
            "size,colour\n3.5,rød\n".encode("latin-1"),
            random.randbytes(500),
        ]
    )
    return post("/invocations", body, kind="text/csv")


def _frame(random: Random) -> Made:
    cell: Any = random.choice([None, 3.5, "x", [], [1], {}, [[1]], True, 10**30])
    content: Any = random.choice(
        [
            cell,
            {"columns": cell, "data": [[cell]]},
            {"columns": ["size", "colour"], "data": [[3.5, "red"], cell]},
            {"columns": ["size", "size"], "data": [[1, cell]]},
            {"columns": [cell, cell], "data": [[1, 2]]},
            {"columns": [], "data": [[]]},
            {"size": [3.5], "colour": cell},
            {"size": [cell], "colour": [cell]},
            {"size": [1, 2], "colour": ["red"]},
            [{"size": cell, "colour": cell}, cell],
            {str(i): [cell] for i in range(3_000)},
        ]
    )
    shapes = ("dataframe_split", "dataframe_records", "inputs", "instances")
    body: Any = {random.choice(shapes): content, **({"params": cell} if cell else {})}
    return post(random.choice(PATHS[1:3]), json.dumps(body).encode())


def _tensor(random: Random) -> dict[str, Any]:
    types = ["FP64", "INT64", "BOOL", "BYTES", "FP16", "UINT64", "fp64", "", "OBJECT"]
    sizes = [0, 1, 8, -8, 2**31, 2**63, 10**30, 1.5, True, "8", None]
    cells: list[Any] = [None, 1, 1.5, True, "x", 10**400, -(2**63), [1], {}]
    return {
        "name": random.choice(["size", "colour", "size\0", ""]),
        "shape": random.choice([[1], [2], [1, 1], [], [0], [-1], [2**63], [1.0], [1, 2, 3], "1"]),
        "datatype": random.choice(types),
        "parameters": random.choice([{}, {"binary_data_size": random.choice(sizes)}]),
        "data": random.choice([None, [], [random.choice(cells)], [random.choice(cells)] * 2]),
    }


def _tensors(random: Random) -> Made:
    request: dict[str, Any] = {"inputs": [_tensor(random) for _ in range(random.randrange(4))]}
    request |= random.choice([{}, {"outputs": [{"name": "?"}]}, {"outputs": []}, {"id": 5}])
    body = json.dumps(request).encode()
    raw = random.choice([b"", bytes(8), random.randbytes(40), b"\xff\xff\xff\xff", b"\4\0\0\0red"])
    length = random.choice([len(body), 0, -1, len(body) - 1, len(body) + 9, 10**30, "1" * 5_000])
    more = random.choice([b"", f"Inference-Header-Content-Length: {length}\r\n".encode()])
    path = random.choice([PATHS[3], "/v2/models/apples/versions/2/infer"])
    return post(path, body + raw, more=more)


def _head(random: Random) -> Made:
    name = random.choice([b"X-%d: 1\r\n" % i for i in range(3)])
    more = random.choice(
        [
            name * 1_000,
            name * 5_000,
            b"X: " + b"y" * 60_000 + b"\r\n",
            b"Host: evil.example\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: -5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n",
            b"Upgrade: websocket\r\nConnection: upgrade\r\n",
            b"Expect: 200-maybe\r\n",
            b"Authorization: Bearer " + b"\xff" * 100 + b"\r\n",
            b"Origin: null\r\n",
            b": empty\r\n",
            b"no colon\r\n",
            b" folded\r\n",
            b"X\0: 1\r\n",
            b"X: \0\r\n",
            b"\r\n",
        ]
    )
    # Two lengths, a chunked body that is none: the server may wait for what never comes.
    return post(random.choice(PATHS), b'{"size": 3.5, "colour": "red"}', more=more), False


def _half(random: Random) -> Made:
    whole = post(random.choice(PATHS), b'{"size": 3.5, "colour": "red"}')
    return whole[: random.randrange(1, len(whole))], False


def _lengths(random: Random) -> Made:
    length = random.choice([b"1", b"500", b"-1", b"1e3", b"0x1e", b"", b"9" * 30, b"3, 3", b" 30"])
    head = b"POST /predict/apples HTTP/1.1\r\nContent-Length: " + length + b"\r\n" + HOST
    return head + b'\r\n{"size": 3.5, "colour": "red"}', False


def _chunks(random: Random) -> Made:
    chunks = random.choice(
        [
            b"zz\r\n{}\r\n0\r\n\r\n",
            b"-1\r\n{}\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\n{}",
            b"2\r\n{}0\r\n\r\n",
            b"2;ext=" + b"x" * 5_000 + b"\r\n{}\r\n0\r\n\r\n",
            b"1\r\n{\r\n" * 500 + b"0\r\n\r\n",
            b"2\r\n{}\r\n0\r\nTrailer: " + b"x" * 5_000 + b"\r\n\r\n",
            b"\r\n\r\n",
        ]
    )
    head = b"POST /predict/apples HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n"
    return head + chunks, False


def _pipelined(random: Random) -> Made:
    some = [_json(random), _csv(random), _path(random), _noise(random)]
    return b"".join(one if isinstance(one, bytes) else one[0] for one in some), False


def _path(random: Random) -> Made:
    path = random.choice(
        [
            "/predict/../../etc/passwd",
            "/predict/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            "/predict/apples%00",
            "/predict/apples/",
            "//predict//apples",
            "/predict/%ff%fe",
            "/predict/%",
            "/predict/apples%2fx",
            "/v2/models/apples/versions/%00/infer",
            "/v2/models/" + "a" * 20_000 + "/infer",
            "/v2/models/apples/versions/999999999999999999999/infer",
            "/models/'; --/invocations",
            "*",
            "http://127.0.0.1/predict/apples",
            "http://evil.example/predict/apples",
            "/docs/../metrics",
            "/openapi.json?x=%zz",
            "/predict/apples#fragment",
            "?",
            "predict",
        ]
    )
    return post(path, b'{"size": 3.5, "colour": "red"}')


def _method(random: Random) -> Made:
    names = b"GET HEAD PUT DELETE OPTIONS TRACE PATCH CONNECT PRI post FOO".split()
    version = random.choice([b"1.1", b"1.0", b"0.9", b"2.0", b"9.9", b"1.1.1"])
    path = random.choice([*PATHS, "/docs", "/healthz", "/v2", "/metrics"]).encode()
    return b"%s %s HTTP/%s\r\n%s\r\n" % (random.choice(names), path, version, HOST), False


def _no_http(random: Random) -> Made:
    found = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100, b"SSH-2.0-x\r\n"]
    return random.choice([*found, b"\r\n" * 500, random.randbytes(300)]), False


_KINDS: dict[str, Callable[[Random], Made]] = {
    "json": _json,
    "duplicates": _duplicates,
    "bomb": _bomb,
    "noise": _noise,
    "encoded": _encoded,
    "csv": _csv,
    "frame": _frame,
    "tensors": _tensors,
    "head": _head,
    "half": _half,
    "lengths": _lengths,
    "chunks": _chunks,
    "pipelined": _pipelined,
    "path": _path,
    "method": _method,
    "no http": _no_http,
}
