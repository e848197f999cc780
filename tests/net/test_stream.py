from __future__ import annotations

import contextlib
import socket
import ssl
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.errors import NetworkError
from agent.net.base import Server
from agent.net.stream import Stream
from tests.harness.conditions import eventually
from tests.harness.scripted import Peer, Script, Scripted, scripted


def opened(server: Scripted, read_s: float = 5) -> Stream:
    return Stream(Server("localhost", server.port, "none"), read_s=read_s)


def saying(*pieces: bytes) -> Script:
    def run(peer: Peer) -> None:
        for piece in pieces:
            peer.raw(piece)
        peer.line()

    return run


def test_lines_and_octets_come_in_order() -> None:
    with scripted(saying(b"one\r\ntw", b"o\r\n12345three\n")) as server:
        stream = opened(server)
        assert (stream.line(), stream.line()) == (b"one\r\n", b"two\r\n")
        assert (stream.take(5), stream.take(0), stream.line()) == (b"12345", b"", b"three\n")
        stream.close()


def test_the_socket_does_not_wait_to_collect_and_is_kept_alive() -> None:
    with scripted(saying()) as server:
        stream = opened(server)
        assert stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        stream.close()


def test_a_silent_server_is_given_up() -> None:
    with scripted(saying(b"half a line")) as server:
        stream = opened(server, read_s=0.1)
        with pytest.raises(NetworkError, match=r"no answer within"):
            stream.line()
        assert stream.broken


def test_a_server_that_dribbles_is_given_up() -> None:
    def dribble(peer: Peer) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer.raw(b"x")
                peer.sock.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    peer.sock.recv(1)

    with scripted(dribble) as server:
        stream = opened(server, read_s=0.3)
        with pytest.raises(NetworkError, match=r"only .* octets"):
            stream.take(1000)


def test_compression_works_both_ways_and_unpacks_in_pieces() -> None:
    big = b"\0" * 20_000_000 + b"end\r\n"

    def run(peer: Peer) -> None:
        inflate = zlib.decompressobj(-15)
        got = inflate.decompress(peer.sock.recv(1000))
        peer.server.note(got, False)
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        peer.raw(deflate.compress(big) + deflate.flush(zlib.Z_SYNC_FLUSH))
        with contextlib.suppress(OSError):  # until the test is over and closes it
            peer.sock.recv(1000)

    with scripted(run) as server:
        stream = opened(server)
        stream.compress()
        stream.send(b"hello\r\n")
        stream.fill()
        assert len(stream.buffer) <= 1 << 20  # a bomb comes in pieces
        assert stream.take(20_000_000) == b"\0" * 20_000_000
        assert stream.line() == b"end\r\n"
        stream.close()
    assert server.received == b"hello\r\n"


def test_a_damaged_compressed_stream_is_an_error() -> None:
    with scripted(saying(b"\xff" * 100)) as server:
        stream = opened(server)
        stream.compress()
        with pytest.raises(NetworkError, match="damaged"):
            stream.line()


def test_tls_does_not_begin_over_unread_text() -> None:
    with scripted(saying(b"one\r\nunread")) as server:
        stream = opened(server)
        stream.line()
        with pytest.raises(NetworkError, match="before TLS"):
            stream.secure(ssl.create_default_context())


def test_closing_twice_is_no_trouble() -> None:
    with scripted(saying()) as server:
        stream = opened(server)
        stream.close()
        stream.close()
        with pytest.raises(NetworkError):
            stream.send(b"x")


def test_another_thread_ends_an_attempt_to_connect() -> None:
    streams: list[Stream] = []
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # now its queue is full, and it answers nobody
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        threads = stack.enter_context(ThreadPoolExecutor())
        server = Server("127.0.0.1", listener.getsockname()[1], "none")
        attempt = threads.submit(Stream, server, connect_s=60, begun=streams.append)
        eventually(lambda: streams)
        eventually(lambda: streams[0].abort() or attempt.done())
        with pytest.raises(NetworkError, match="cannot connect"):
            attempt.result()
