from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from agent.errors import AuthError, CommandError, NetworkError, Refused, TLSError
from agent.mail.flags import FLAGGED, SEEN
from agent.net.base import Server
from agent.net.imap import ImapBackend
from tests.harness.certificates import Authority
from tests.harness.dovecot import Dovecot
from tests.harness.scripted import Peer, imap, replying, scripted
from tests.net.connections import PASSWORD, connected, facing, of_dovecot


def message(subject: str = "hi", size: int = 0) -> bytes:
    head = f"From: Bob <bob@example.org>\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n\r\n"
    return head.encode() + b"x" * size + b"\r\n"


@pytest.fixture
def inbox(dovecot: Dovecot, user: str) -> Iterator[ImapBackend]:
    with connected(dovecot, user) as backend:
        for number in range(1, 6):
            backend.append("INBOX", message(f"m{number}"), received=1_000_000_000 + number)
        backend.select("INBOX")
        yield backend


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_every_kind_of_security_logs_in(dovecot: Dovecot, user: str, security: str) -> None:
    with connected(dovecot, user, security=security) as backend:
        assert backend.connected
        assert backend.can_idle
        assert backend.can_resync


def test_compression_changes_nothing_but_the_wire(dovecot: Dovecot, user: str) -> None:
    with connected(dovecot, user, compress=True) as backend:
        raw = message("big", 300_000)
        backend.append("INBOX", raw)
        backend.select("INBOX")
        assert [fetched.raw for fetched in backend.messages("1:*")] == [raw]
        assert backend._wire.stream._inflate is not None


def test_folders_have_the_roles_that_the_server_marks(inbox: ImapBackend) -> None:
    roles = {folder.name: folder.role for folder in inbox.folders()}
    assert roles == {
        "INBOX": "inbox",
        "Sent": "sent",
        "Drafts": "drafts",
        "Trash": "trash",
        "Junk": "junk",
        "Archive": "archive",
    }


@pytest.mark.parametrize("name", ["Ünïcode/日本", 'quote"d & back\\slash', "a b", "50%", "x" * 200])
def test_a_folder_lives_through_creation_renaming_and_deletion(inbox: ImapBackend, name: str) -> None:
    inbox.create_folder(name)
    assert name in {folder.name for folder in inbox.folders()}
    inbox.rename_folder(name, f"{name} new")
    inbox.select(f"{name} new")
    inbox.delete_folder(f"{name} new")
    assert not {name, f"{name} new"} & {folder.name for folder in inbox.folders()}


def test_a_folder_name_with_a_line_break_is_refused_before_anything_is_sent(inbox: ImapBackend) -> None:
    for folder in ("x\r\nA1 DELETE INBOX", "x\0y", "x\ny"):
        with pytest.raises(CommandError):
            inbox.select(folder)
    assert inbox.noop() is not None


def test_status_tells_of_a_folder_that_is_not_selected(inbox: ImapBackend) -> None:
    inbox.copy("1:2", "Archive")
    state = inbox.status("Archive")
    assert (state.exists, state.uidnext) == (2, 3)
    assert inbox.selected == "INBOX"


def test_select_tells_the_state_of_the_folder(inbox: ImapBackend) -> None:
    state = inbox.select("INBOX")
    assert (state.exists, state.uidnext, state.keywords, state.writable) == (5, 6, True, True)
    assert state.modseq
    assert state.changes is None


def test_headers_come_with_flags_dates_and_sizes(inbox: ImapBackend) -> None:
    inbox.change_flags("2", add=["\\Seen", "\\Flagged", "work"])
    rows = {fetched.uid: fetched for fetched in inbox.headers("1:*")}
    assert list(rows) == [1, 2, 3, 4, 5]
    assert (rows[2].bits, rows[2].tags) == (SEEN | FLAGGED, {"work"})
    assert rows[2].received == 1_000_000_002
    assert rows[2].size == len(message("m2"))
    assert b"Subject: m2\r\n" in (rows[2].header or b"")
    assert rows[2].raw is None


def test_reading_marks_nothing_as_read(inbox: ImapBackend) -> None:
    assert len(list(inbox.messages("1:*"))) == 5
    assert len(list(inbox.heads("1:*", 20))) == 5
    assert [state.bits for state in inbox.flags()] == [0] * 5


def test_messages_are_the_bytes_of_the_server(inbox: ImapBackend) -> None:
    odd = (
        b"Subject: odd\r\n\r\n)\r\n* 1 FETCH (UID 9 FLAGS ())\r\n"
        + bytes({*range(1, 256)} - {10, 13})
        + b"\r\n"
    )
    _, uid = inbox.append("INBOX", odd) or (0, 0)
    assert [fetched.raw for fetched in inbox.messages(str(uid))] == [odd]


def test_a_head_is_the_beginning_and_knows_the_size(inbox: ImapBackend) -> None:
    (head,) = inbox.heads("3", 40)
    assert (head.raw, head.size) == (message("m3")[:40], len(message("m3")))


def test_an_open_set_does_not_name_the_last_message_again(inbox: ImapBackend) -> None:
    assert list(inbox.headers("6:*")) == []
    assert [fetched.uid for fetched in inbox.headers("5:*")] == [5]


def test_a_long_set_is_sent_in_pieces(inbox: ImapBackend) -> None:
    odd = ",".join(str(uid) for uid in [1, 3, 5, *range(1001, 9001, 2)])
    assert [fetched.uid for fetched in inbox.headers(odd)] == [1, 3, 5]


def test_flags_changed_since_a_moment_are_told_alone(inbox: ImapBackend) -> None:
    modseq = inbox.select("INBOX").modseq
    inbox.change_flags("4", add=["\\Seen"])
    assert [(state.uid, state.bits) for state in inbox.flags(changed_since=modseq)] == [(4, SEEN)]


def test_a_folder_resyncs_by_what_happened(dovecot: Dovecot, user: str, inbox: ImapBackend) -> None:
    state = inbox.select("INBOX")
    with connected(dovecot, user) as other:
        other.select("INBOX")
        other.expunge("1,5")
        other.change_flags("3", add=["\\Seen"])
        other.append("INBOX", message("new"))
    again = inbox.select("INBOX", since=(state.uidvalidity, state.modseq or 0))
    assert again.changes is not None
    assert sorted(again.changes.vanished) == [1, 5]
    assert {flags.uid: flags.bits for flags in again.changes.flags} == {3: SEEN, 6: 0}


def test_a_foreign_uidvalidity_gives_no_changes(inbox: ImapBackend) -> None:
    assert inbox.select("INBOX", since=(1, 1)).changes is None


def test_flags_are_added_and_removed(inbox: ImapBackend) -> None:
    inbox.change_flags("1:2", add=["\\Seen", "a"])
    inbox.change_flags("1", add=["b"], remove=["\\Seen", "a"])
    states = {state.uid: (state.bits, set(state.tags)) for state in inbox.flags("1:2")}
    assert states == {1: (0, {"b"}), 2: (SEEN, {"a"})}


@pytest.mark.parametrize("word", ["a b", "x)", "(", "ä", "", '"', "a\r\nb", "%", "*"])
def test_a_word_that_is_no_keyword_is_refused(inbox: ImapBackend, word: str) -> None:
    with pytest.raises(CommandError):
        inbox.change_flags("1", add=[word])
    with pytest.raises(CommandError):
        inbox.append("INBOX", message(), flags=[word])


@pytest.mark.parametrize("uids", ["", "1 2", "1,", "a", "1:2:3", "1\r\n", "ALL"])
def test_a_set_that_is_none_is_refused(inbox: ImapBackend, uids: str) -> None:
    with pytest.raises(CommandError):
        list(inbox.headers(uids))
    with pytest.raises(CommandError):
        inbox.move(uids, "Trash")


def test_moving_tells_the_new_uids_and_is_no_news(inbox: ImapBackend) -> None:
    moved = inbox.move("2,4:5", "Archive")
    assert moved.uids == {2: 1, 4: 2, 5: 3}
    assert moved.uidvalidity == inbox.status("Archive").uidvalidity
    assert not moved.left
    assert not inbox.noop().removals
    assert inbox.uids() == [1, 3]


def test_copying_leaves_the_originals(inbox: ImapBackend) -> None:
    assert inbox.copy("1,3", "Archive").uids == {1: 1, 3: 2}
    assert inbox.uids() == [1, 2, 3, 4, 5]


def test_moving_to_a_folder_that_is_not_there_changes_nothing(inbox: ImapBackend) -> None:
    with pytest.raises(Refused, match="move to 'Nowhere'"):
        inbox.move("1:*", "Nowhere")
    assert len(inbox.uids()) == 5


def test_expunging_removes_what_was_named_and_nothing_else(inbox: ImapBackend) -> None:
    inbox.change_flags("1:2", add=["\\Deleted"])  # somebody else's
    inbox.expunge("3")
    assert inbox.uids() == [1, 2, 4, 5]


def test_append_tells_the_uid_and_keeps_date_and_flags(inbox: ImapBackend) -> None:
    validity, uid = inbox.append("Sent", message("s"), ["\\Seen", "tag"], 86_399) or (0, 0)
    assert validity == inbox.select("Sent").uidvalidity
    (fetched,) = inbox.messages(str(uid))
    assert (fetched.bits, fetched.tags, fetched.received) == (SEEN, {"tag"}, 86_399)


def test_appending_a_large_message_and_nul_octets_works(inbox: ImapBackend) -> None:
    large = message("large", 3_000_000)
    _, uid = inbox.append("INBOX", large) or (0, 0)
    assert [fetched.raw for fetched in inbox.messages(str(uid))] == [large]
    assert inbox.append("INBOX", b"Subject: nul\r\n\r\na\0b\r\n") is not None


def test_appending_over_the_quota_is_refused_in_the_words_of_the_server(dovecot: Dovecot, user: str) -> None:
    dovecot.limit(user, "1M")
    with connected(dovecot, user) as backend:
        with pytest.raises(Refused, match=r"OVERQUOTA.*[Qq]uota") as caught:
            backend.append("INBOX", message("large", 2_000_000))
        assert caught.value.permanent
        assert backend.append("INBOX", message("small")) is not None


def test_searching_takes_the_text_of_the_user(inbox: ImapBackend) -> None:
    inbox.append("INBOX", 'Subject: Müller "x\\\r\n\r\nGrüße\r\n'.encode())
    inbox.noop()
    assert inbox.search(["SUBJECT", "müller".encode()]) == [6]
    assert inbox.search(["SUBJECT", b'"x\\']) == [6]
    assert inbox.search(["OR", "(", "SUBJECT", b"m1", "UNSEEN", ")", "BODY", "grüße".encode()]) == [1, 6]
    assert inbox.uids("UID 2:3") == [2, 3]


def test_a_message_is_found_by_its_id(inbox: ImapBackend) -> None:
    assert inbox.find_message_id("m4@example.org") == [4]
    assert inbox.find_message_id("nobody@example.org") == []
    with pytest.raises(CommandError):
        inbox.find_message_id('x"\r\nA1 UID STORE 1:* +FLAGS (\\Deleted)')


def test_new_mail_ends_the_rest(dovecot: Dovecot, user: str, inbox: ImapBackend) -> None:
    here, there = socket.socketpair()
    with here, there:
        assert not inbox.rest(0.05, here.fileno()).arrivals
        begun = time.monotonic()
        dovecot.deliver(user, message("pushed"))
        assert inbox.rest(10, here.fileno()).arrivals
        assert time.monotonic() - begun < 5
        assert len(list(inbox.headers("6:*"))) == 1


def test_flags_and_removals_by_others_end_the_rest(dovecot: Dovecot, user: str, inbox: ImapBackend) -> None:
    here, there = socket.socketpair()
    with here, there, connected(dovecot, user) as other:
        other.select("INBOX")
        inbox.rest(0.01, here.fileno())
        other.change_flags("1", add=["\\Seen"])
        assert inbox.rest(10, here.fileno()).flags
        other.expunge("2")
        assert inbox.rest(10, here.fileno()).removals


def test_a_byte_on_the_wake_socket_ends_the_rest_at_once(inbox: ImapBackend) -> None:
    here, there = socket.socketpair()
    with here, there:
        timer = threading.Timer(0.1, there.send, [b"x"])
        timer.start()
        begun = time.monotonic()
        assert inbox.rest(30, here.fileno()).woken
        assert time.monotonic() - begun < 5
        timer.join()


def test_a_dropped_connection_is_an_error_and_can_be_made_again(
    dovecot: Dovecot, user: str, inbox: ImapBackend
) -> None:
    dovecot.kick(user)
    with pytest.raises(NetworkError, match=r"connection|closed|closes"):
        inbox.rest(10, -1)
    assert not inbox.connected
    with pytest.raises(NetworkError, match="not connected"):
        inbox.uids()
    inbox.connect()
    inbox.select("INBOX")
    assert len(inbox.uids()) == 5


def test_a_wrong_password_is_told_apart(dovecot: Dovecot, user: str) -> None:
    server = of_dovecot(dovecot, user).server
    with pytest.raises(AuthError, match=f"{user}.*Authentication failed"):
        ImapBackend(server, lambda: "wrong").connect()


def test_a_token_logs_in_and_a_bad_one_says_why(dovecot: Dovecot, user: str) -> None:
    server = Server(dovecot.host, dovecot.ports["imaps"], "tls", user, str(dovecot.ca_file), auth="oauth2")
    backend = ImapBackend(server, lambda: dovecot.token(user))
    backend.connect()
    backend.close()
    with pytest.raises(AuthError, match="401"):
        ImapBackend(server, lambda: "no-token").connect()


def test_a_certificate_that_nobody_vouches_for_is_refused(dovecot: Dovecot, user: str) -> None:
    asked: list[str] = []
    server = Server(dovecot.host, dovecot.ports["imaps"], "tls", user)
    backend = ImapBackend(server, lambda: asked.append("password") or "x")
    with pytest.raises(TLSError, match="certificate is not trusted"):
        backend.connect()
    assert asked == []


@pytest.mark.parametrize(
    ("names", "expired"), [(("mail.example.org",), False), (("localhost",), True)], ids=["name", "expired"]
)
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_of_another_name_or_time_is_refused(
    authority: Authority, security: str, names: tuple[str, ...], expired: bool
) -> None:
    def at_once(peer: Peer) -> None:
        peer.secure()
        imap()(peer)

    context = authority.server_context(*names, expired=expired)
    script = at_once if security == "tls" else imap(capabilities="IMAP4rev1 STARTTLS")
    with scripted(script, context) as server:
        target = Server("localhost", server.port, security, "ann", str(authority.ca_file))
        with pytest.raises(TLSError, match="certificate is not trusted"):
            ImapBackend(target, lambda: PASSWORD).connect()
    assert PASSWORD.encode() not in server.received


def test_nothing_listening_is_a_network_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkError, match=f"localhost:{port}: cannot connect"):
        ImapBackend(Server("localhost", port), lambda: "x").connect()


def test_an_unknown_host_is_a_network_error() -> None:
    with pytest.raises(NetworkError, match=r"mail\.invalid:993: cannot connect"):
        ImapBackend(Server("mail.invalid", 993), lambda: "x").connect()


# What Dovecot cannot be made to do


def test_without_move_only_what_was_copied_is_removed() -> None:
    done: list[bytes] = []

    def note(peer: Peer, tag: bytes, rest: bytes) -> None:
        done.append(rest)
        peer.send(tag + b" OK done")

    script = imap(
        {
            "UID SEARCH": replying(b"* SEARCH 1 2 3"),
            "UID COPY": replying(end=b"OK [COPYUID 9 1,3 10:11] done"),
            "UID STORE": note,
            "UID EXPUNGE": note,
        }
    )
    with facing(script) as (backend, _):
        moved = backend.move("1:3", "Archive")
    assert (moved.uidvalidity, moved.uids) == (9, {1: 10, 3: 11})
    assert done == [b"UID STORE 1,3 +FLAGS.SILENT (\\Deleted)", b"UID EXPUNGE 1,3"]


def test_without_uidplus_the_originals_stay_and_it_is_said() -> None:
    counts = iter((5, 8))

    def status(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(b"* STATUS Archive (MESSAGES %d UIDNEXT 9 UIDVALIDITY 4)" % next(counts), tag + b" OK done")

    script = imap(
        {"UID SEARCH": replying(b"* SEARCH 1 2 3"), "STATUS": status},
        capabilities="IMAP4rev1",
    )
    with facing(script) as (backend, server):
        assert backend.move("1:3", "Archive").left
        with pytest.raises(Refused, match="no UIDPLUS"):
            backend.expunge("1")
    assert b"EXPUNGE" not in server.received


def test_without_uidplus_a_copy_that_cannot_be_seen_removes_nothing() -> None:
    script = imap(
        {
            "UID SEARCH": replying(b"* SEARCH 1 2 3"),
            "STATUS": replying(b"* STATUS Archive (MESSAGES 5 UIDNEXT 9 UIDVALIDITY 4)"),
        },
        capabilities="IMAP4rev1",
    )
    with facing(script) as (backend, server):
        with pytest.raises(Refused, match="nothing was removed"):
            backend.move("1:3", "Archive")
    assert b"STORE" not in server.received


def test_a_failed_copy_removes_nothing() -> None:
    script = imap({"UID SEARCH": replying(b"* SEARCH 1"), "UID COPY": replying(end=b"NO [TRYCREATE] none")})
    with facing(script) as (backend, server):
        with pytest.raises(Refused, match="TRYCREATE"):
            backend.move("1", "Archive")
    assert b"STORE" not in server.received
    assert b"EXPUNGE" not in server.received


def test_the_odd_copyuid_of_exchange_is_understood() -> None:
    script = imap(
        {"UID MOVE": replying(b"* [COPYUID 3 5 8]", b"* 1 EXPUNGE")}, capabilities="IMAP4rev1 MOVE UIDPLUS"
    )
    with facing(script) as (backend, _):
        assert backend.move("5", "Archive").uids == {5: 8}
        assert not backend.noop().removals


def test_a_foreign_removal_during_our_move_is_noticed() -> None:
    script = imap(
        {"UID MOVE": replying(b"* OK [COPYUID 3 5 8] x", b"* 1 EXPUNGE", b"* 1 EXPUNGE")},
        capabilities="IMAP4rev1 MOVE UIDPLUS",
    )
    with facing(script) as (backend, _):
        backend.move("5", "Archive")
        assert backend.noop().removals


def test_no_passes_when_the_code_says_so() -> None:
    script = imap({"UID STORE": replying(end=b"NO [UNAVAILABLE] later"), "CREATE": replying(end=b"NO never")})
    with facing(script) as (backend, _):
        with pytest.raises(Refused) as passing:
            backend.change_flags("1", add=["\\Seen"])
        with pytest.raises(Refused) as final:
            backend.create_folder("x")
    assert (passing.value.permanent, final.value.permanent) == (False, True)


def test_the_words_of_the_server_carry_no_control_characters() -> None:
    script = imap({"CREATE": replying(end=b"NO \x1b]0;pwn\x07 \xc2\x9b31m evil \xe2\x80\xae")})
    with facing(script) as (backend, _), pytest.raises(Refused) as caught:
        backend.create_folder("x")
    assert str(caught.value).endswith("the server says: ]0;pwn 31m evil")


def test_a_missing_uidnext_is_asked_for() -> None:
    script = imap(
        {
            "SELECT": replying(b"* 2 EXISTS", b"* OK [UIDVALIDITY 7] ok"),
            "STATUS": replying(b"* STATUS INBOX (MESSAGES 2 UIDNEXT 77 UIDVALIDITY 7)"),
        }
    )
    with facing(script, select=False) as (backend, _):
        assert backend.select("INBOX").uidnext == 77


def test_a_folder_without_uidvalidity_is_refused() -> None:
    script = imap({"SELECT": replying(b"* 2 EXISTS")})
    with facing(script, select=False) as (backend, _), pytest.raises(Refused, match="UIDVALIDITY"):
        backend.select("INBOX")


def test_a_failed_select_leaves_no_folder_selected() -> None:
    with facing(imap(), select=True) as (backend, server):
        server.script = imap()
        assert backend.selected == "INBOX"
    with facing(imap({"SELECT": replying(end=b"NO none")}), select=False) as (backend, _):
        with pytest.raises(Refused):
            backend.select("INBOX")
        assert backend.selected is None


def test_a_search_result_larger_than_the_folder_is_refused() -> None:
    script = imap(
        {"UID SEARCH": replying(b'* ESEARCH (TAG "A1") UID ALL 1:4294967295')},
        capabilities="IMAP4rev1 ESEARCH",
    )
    with facing(script) as (backend, _), pytest.raises(NetworkError, match="UIDs"):
        backend.uids()


def test_a_search_answer_of_seven_megabytes_is_read() -> None:
    line = b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(1, 1_000_001))
    with facing(imap({"UID SEARCH": replying(line)})) as (backend, _):
        assert len(backend.uids()) == 1_000_000


def test_no_secret_shows_in_the_repr(authority: Authority) -> None:
    backend = ImapBackend(Server("localhost", 1, user="ann"), lambda: "correct-horse")
    assert repr(backend) == "<imap ann@localhost:1 offline>"
