"""The proxy breaks exactly what it is told to break."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness.conditions import eventually
from tests.harness.proxy import Proxy


class Shouter:
    """Answers each line in capitals and keeps what it was sent."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.lines: list[bytes] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
                for line in lines:
                    self.lines.append(line)
                    connection.sendall(line.upper())


@pytest.fixture
def shouter() -> Iterator[Shouter]:
    server = Shouter()
    yield server
    server.stop()


@pytest.fixture
def proxy(shouter: Shouter, start_proxy: Callable[[int], Proxy]) -> Proxy:
    return start_proxy(shouter.port)


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), 5) as connection:
        yield connection


def rest(client: socket.socket) -> bytes:
    """Read until the connection ends."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_bytes_pass_unchanged_both_ways(proxy: Proxy, client: socket.socket) -> None:
    client.sendall(b"hello\n")
    assert client.recv(100) == b"HELLO\n"
    assert (proxy.sent, proxy.received) == (b"hello\n", b"HELLO\n")


def test_the_end_of_one_side_reaches_the_other(client: socket.socket) -> None:
    client.sendall(b"last\n")
    client.shutdown(socket.SHUT_WR)
    assert rest(client) == b"LAST\n"


def test_a_cut_at_an_offset_lets_exactly_so_many_bytes_pass(proxy: Proxy, client: socket.socket) -> None:
    cut = proxy.cut("down", after=3)
    client.sendall(b"hello\n")
    assert rest(client) == b"HEL"
    assert cut.done.is_set()


@pytest.mark.parametrize(("keep", "arrived"), [(True, b"one two"), (False, b"one ")])
def test_a_cut_at_a_word_keeps_or_drops_the_word(
    proxy: Proxy, client: socket.socket, shouter: Shouter, keep: bool, arrived: bytes
) -> None:
    proxy.cut("up", at=b"two", keep=keep)
    client.sendall(b"one two three\n")
    assert rest(client) == b""
    eventually(lambda: shouter.lines == [arrived])


def test_a_word_is_found_across_packets(proxy: Proxy, client: socket.socket) -> None:
    cut = proxy.cut("up", at=b"two", reset=True)
    client.sendall(b"t")
    client.sendall(b"w")
    client.sendall(b"o\n")
    assert rest(client) == b""
    assert cut.done.is_set()


def test_a_cut_counts_down_and_then_lets_pass(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut("up", at=b"two", times=1)
    client.sendall(b"two\n")
    assert rest(client) == b""
    with socket.create_connection((proxy.host, proxy.port), 5) as second:
        second.sendall(b"two\n")
        assert second.recv(10) == b"TWO\n"


def test_a_lost_reply_means_that_the_request_was_served(
    proxy: Proxy, client: socket.socket, shouter: Shouter
) -> None:
    lost = proxy.lose_reply(b"move")
    client.sendall(b"first\n")
    assert client.recv(10) == b"FIRST\n"
    client.sendall(b"move it\n")
    assert rest(client) == b""
    assert lost.done.is_set()
    assert shouter.lines == [b"first\n", b"move it\n"]


def test_a_stalled_line_holds_bytes_until_it_is_resumed(proxy: Proxy, client: socket.socket) -> None:
    proxy.stall()
    client.sendall(b"hello\n")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(10)
    proxy.resume()
    client.settimeout(5)
    assert client.recv(10) == b"HELLO\n"


def test_a_throttled_line_takes_its_time(proxy: Proxy, client: socket.socket) -> None:
    proxy.throttle(100_000, latency_s=0.05)
    began = time.monotonic()
    client.sendall(b"x" * 19_999 + b"\n")
    client.shutdown(socket.SHUT_WR)
    assert len(rest(client)) == 20_000
    # 20,000 bytes take 0.2 s; each way adds 0.05 s, and both ways overlap but for those.
    assert 0.3 <= time.monotonic() - began < 2


def test_words_of_the_server_can_be_replaced(proxy: Proxy, client: socket.socket) -> None:
    proxy.replace("down", b" MOVE", b"")
    client.sendall(b"idle move uidplus\n")
    assert client.recv(100) == b"IDLE UIDPLUS\n"


def test_new_connections_can_be_refused_and_all_be_cut(proxy: Proxy, client: socket.socket) -> None:
    client.sendall(b"hello\n")
    assert client.recv(10) == b"HELLO\n"
    proxy.refuse()
    proxy.cut_all()
    assert rest(client) == b""
    with socket.create_connection((proxy.host, proxy.port), 5) as second:
        assert rest(second) == b""
