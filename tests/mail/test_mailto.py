from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CommandError
from agent.mail.mailto import mailto


def test_the_usual_fields_are_read() -> None:
    found = mailto(
        "mailto:ann@x.org,bob@x.org?cc=c%40x.org&subject=Gr%C3%BC%C3%9Fe%20you&body=a%0D%0Ab&to=d@x.org"
    )
    assert [each.addr for each in found.to] == ["ann@x.org", "bob@x.org", "d@x.org"]
    assert [each.addr for each in found.cc] == ["c@x.org"]
    assert (found.subject, found.body, found.ignored) == ("Grüße you", "a\nb", ())


def test_a_plus_sign_is_no_blank() -> None:
    assert mailto("mailto:ann+tag@x.org?subject=1+1").to[0].addr == "ann+tag@x.org"
    assert mailto("mailto:ann+tag@x.org?subject=1+1").subject == "1+1"


def test_in_reply_to_loses_its_brackets() -> None:
    assert mailto("MAILTO:a@b.c?In-Reply-To=%3Cx%40y%3E").in_reply_to == ("x@y",)
    assert mailto("mailto:a@b.c?in-reply-to=%3Cx y%3E").in_reply_to == ()


@pytest.mark.parametrize(
    "name", ["attach", "attachment", "bcc", "from", "x-header", "ATTACH", "content-type", "references"]
)
def test_nothing_else_is_taken_and_it_is_told(name: str) -> None:
    found = mailto(f"mailto:a@b.c?{name}=~/.gnupg/secring.gpg&subject=hi")
    assert found.ignored == (name.lower(),)
    assert found.subject == "hi"
    assert "secring" not in repr(found)


def test_line_breaks_cannot_become_headers() -> None:
    found = mailto("mailto:a@b.c%0D%0ABcc:%20e@v.il?subject=x%0D%0ABcc:%20e@v.il&body=ok%00%1B[2J")
    assert "\n" not in found.subject
    assert "\r" not in found.subject
    assert all(each.addr.isprintable() for each in found.to)
    assert found.body == "ok[2J"


@pytest.mark.parametrize("url", ["", "http://x.org", "ann@x.org", "mailto"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(CommandError, match="no mailto"):
        mailto(url)


def test_an_endless_url_is_refused() -> None:
    with pytest.raises(CommandError, match="characters"):
        mailto("mailto:a@b.c?body=" + "x" * 200_000)


@given(st.text(max_size=80))
def test_any_rest_is_read_without_an_exception(rest: str) -> None:
    found = mailto(f"mailto:{rest}")
    assert not {"\r", "\n", "\0"} & set(found.subject)
