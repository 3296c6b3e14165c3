from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from aiohttp.http import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import http1
from gateway.api.http1 import BadRequest, Request, Requests
from gateway.api.limits import Limits

LIMITS = Limits(request=1000, head=500, fields=10)
STREAM = (
    b"POST /events?a=b HTTP/1.1\r\nHost: x\r\nCE-Id: 1 \r\nContent-Length: 5\r\n\r\nhello"
    b"\r\nPOST http://x/ HTTP/1.1\r\nhost: x\r\ntransfer-encoding: Chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: 1\r\n\r\n"
    b"GET /livez HTTP/1.0\r\n\r\n"
)


def read(*parts: bytes, limits: Limits = LIMITS) -> list[Request]:
    requests = Requests(limits)
    found = []
    for part in parts:
        requests.feed(part)
        while (request := requests.next()) is not None:
            found.append(request)
    return found


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_request_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]

    found = read(*(STREAM[start:stop] for start, stop in pairwise(places)))

    assert [(one.method, one.path, one.query, one.body, one.keep) for one in found] == [
        ("POST", "/events", "a=b", b"hello", True),
        ("POST", "/", "", b"hello world", True),
        ("GET", "/livez", "", b"", False),
    ]
    assert found[0].fields["ce-id"] == "1"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \xc2\xb2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 300, 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"t" * 600, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 600, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 11 + b"\r\n", 431),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(request_: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        read(request_)

    assert refused.value.status == status


def test_a_body_of_tiny_chunks_costs_its_bytes() -> None:
    """Each chunk kept as an object of its own would be a hundred times the body."""
    requests = Requests(Limits())
    requests.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")

    for _ in range(100):
        requests.feed(b"1\r\nx\r\n" * 1000)
        assert requests.next() is None

    assert requests.held < 101_000


def test_a_client_that_waits_for_100_continue_is_known() -> None:
    requests = Requests(LIMITS)

    requests.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n")

    assert requests.next() is None
    assert requests.wants_continue


class _Silent:
    """What aiohttp's parser wants behind it."""

    def pause_reading(self) -> None: ...

    def resume_reading(self, **_: Any) -> None: ...


_PIECES = st.sampled_from(
    [
        *(
            b"POST ",
            b"GET ",
            b"/",
            b"*",
            b" HTTP/1.1",
            b" HTTP/1.0",
            b"\r\n",
            b"\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
        ),
        *(b":", b": ", b"Host: x\r\n", b"a", b"Content-Length: 3\r\n", b"Content-Length", b"3", b"abc", b"0\r\n\r\n"),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding",
            b"chunked",
            b"3\r\nabc\r\n",
            b",",
            b";",
            b"\x00",
            b"\x80",
        ),
    ]
)
_HEAD = st.sampled_from([b"POST / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.0\r\n", b""])


@given(_HEAD, st.lists(_PIECES, max_size=14))
async def test_another_strict_parser_reads_what_we_accept_the_same_way(head: bytes, pieces: list[bytes]) -> None:
    """Else a proxy and this door could disagree about where a request ends."""
    text = head + b"".join(pieces)
    requests = Requests(LIMITS)
    requests.feed(text)
    ours: list[tuple[str, bytes]] = []
    end = 0
    try:
        while (request := requests.next()) is not None and request.method in {"GET", "POST"}:
            ours.append((request.method, request.body))
            end = len(text) - requests.held
            if not request.keep:
                break
    except BadRequest:
        pass

    theirs, _, _ = HttpRequestParser(_Silent(), asyncio.get_running_loop(), 2**16, auto_decompress=False).feed_data(
        text[:end]
    )

    assert ours == [(message.method, payload.read_nowait()) for message, payload in theirs]


def test_a_head_that_comes_again_is_held_to_the_limits_of_its_reader() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 500\r\n\r\n"
    (first,) = read(head + b"x" * 500)

    again = read(head + b"y" * 500)
    with pytest.raises(BadRequest) as too_long:
        read(head, limits=Limits(request=499))
    with pytest.raises(BadRequest) as too_many:
        read(head, limits=Limits(fields=2))

    assert [(one.headers, one.body) for one in again] == [(first.headers, b"y" * 500)]
    assert (too_long.value.status, too_many.value.status) == (413, 431)


def test_heads_are_not_remembered_without_bound() -> None:
    for number in range(2000):
        read(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
        read(b"POST / HTTP/1.1\r\nHost: x\r\nce-id: %d\r\n\r\n" % number)
        read(b"GET / HTTP/1.1\r\nHost: x\r\nA: %d%b\r\n\r\n" % (number, b"a" * 600), limits=Limits())

    assert len(http1._heads) <= 512
    assert all(len(head) <= 512 and b"ce-id" not in head for head in http1._heads)
