from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend

from agent.errors import AuthError
from agent.net.secrets import (
    Forgetting,
    Secret,
    from_keyring,
    keyring_problem,
    remove_from_keyring,
    run_command,
    to_keyring,
)


class Safe(KeyringBackend):
    """A keyring in memory that counts as a safe one."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class Plaintext(Safe):
    """A keyring like those that write to a file."""

    priority = 0.5  # type: ignore[assignment]


class Locked(Safe):
    """A keyring that waits for a dialog until the test ends."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.over.wait(20)
        return None


class Broken(Safe):
    """A keyring that raises, with the secret in its words."""

    def get_password(self, service: str, username: str) -> str | None:
        raise OSError("secret-word")


@pytest.fixture
def use(request: pytest.FixtureRequest) -> Iterator[object]:
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    "command",
    ["echo secret-word; echo more", ["printf", "secret-word\\r\\nuser: x\\n"], "printf secret-word"],
)
def test_a_command_gives_its_first_line(command: str | list[str]) -> None:
    assert Secret("work", "ann", command=command)() == "secret-word"


def test_a_list_runs_without_a_shell() -> None:
    assert run_command(["echo", "$HOME;ls"], "x") == "$HOME;ls"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo 'gpg: \x1b[31mno key' >&2; exit 2", r"status 2: gpg: \[31mno key"),
        ("true", "printed nothing"),
        (["/nonexistent/pass"], "cannot be started"),
        ("printf '\\377'", "not UTF-8"),
    ],
)
def test_a_command_that_fails_says_why_and_whose_it_is(command: str | list[str], says: str) -> None:
    with pytest.raises(AuthError, match=f"password_command of account 'work': .*{says}"):
        Secret("work", "ann", command=command)()


def test_a_command_that_hangs_is_stopped_and_keeps_its_words_to_itself() -> None:
    begun = time.monotonic()
    with pytest.raises(AuthError, match="stopped") as caught:
        run_command("echo secret-word; sleep 60 & wait", "x", limit_s=0.3)
    assert time.monotonic() - begun < 10
    assert "secret-word" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_command_reads_nothing_from_the_terminal() -> None:
    assert run_command("cat; echo end", "x") == "end"


def test_a_token_command_goes_before_a_password_command() -> None:
    secret = Secret("work", "ann", command="echo password", token_command="echo token")
    assert secret() == "token"


def test_a_safe_keyring_is_asked(use: object) -> None:
    use(Safe())  # type: ignore[operator]
    to_keyring("work", "ann", "secret-word")
    assert Secret("work", "ann")() == "secret-word"
    assert remove_from_keyring("work", "ann")
    assert from_keyring("work", "ann") == (None, "the keyring has none")
    assert keyring_problem() == ""


def test_a_keyring_that_writes_plain_text_is_refused(use: object) -> None:
    backend = Plaintext()
    use(backend)  # type: ignore[operator]
    assert "does not keep secrets safe" in keyring_problem()
    with pytest.raises(AuthError, match="password_command"):
        to_keyring("work", "ann", "secret-word")
    assert backend.kept == {}


def test_no_keyring_is_said_with_what_to_do() -> None:
    with pytest.raises(
        AuthError, match=r"no keyring on this machine.*password_command.*agent account login work"
    ):
        Secret("work", "ann")()


def test_a_locked_keyring_is_not_waited_for(use: object) -> None:
    backend = Locked()
    use(backend)  # type: ignore[operator]
    assert from_keyring("work", "ann", limit_s=0.1)[1].startswith("the keyring did not answer")
    backend.over.set()


def test_a_broken_keyring_gives_the_kind_of_error_only(use: object) -> None:
    use(Broken())  # type: ignore[operator]
    assert from_keyring("work", "ann") == (None, "the keyring failed: OSError")


def test_what_was_asked_is_kept_until_it_is_refused() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return f"answer {len(asked)}"

    secret = Secret("work", "ann", ask=ask)
    assert [secret(), secret()] == ["answer 1", "answer 1"]
    assert isinstance(secret, Forgetting)
    secret.forget()
    assert secret() == "answer 2"
    assert asked[0] == "Password of ann (account work)"


def test_no_answer_is_an_error() -> None:
    with pytest.raises(AuthError, match="no password for 'ann'"):
        Secret("work", "ann", ask=lambda _: None)()


def test_a_secret_given_in_the_file_is_used() -> None:
    assert Secret("work", "ann", given=lambda: "in the file")() == "in the file"


def test_the_repr_shows_no_secret() -> None:
    secret = Secret("work", "ann", ask=lambda _: "secret-word", given=None)
    secret()
    assert repr(secret) == "<secret of 'ann' for account 'work'>"
