from __future__ import annotations

import time

import pytest

from agent.mail.parameters import content_type, parse_parameters


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('attachment; filename="a b.pdf"', "a b.pdf"),
        ("attachment; filename=plain.pdf", "plain.pdf"),
        ('attachment; filename="a\\"b;c.pdf"; size=3', 'a"b;c.pdf'),
        ("attachment; filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
        ('attachment; filename*0="one"; filename*1="two.txt"', "onetwo.txt"),
        ("attachment; filename*0*=utf-8''%C3%A9; filename*1=b", "éb"),
        ("attachment; filename*1*=utf-8''%C3%A9; filename*0=b", "bé"),
        ('attachment; filename="=?utf-8?B?w6k=?=.txt"', "é.txt"),
        ('attachment; filename="caf\xe9.txt"', "café.txt"),
        ("attachment; filename=plain; filename*=utf-8''better", "better"),
        ("attachment; filename*", None),
        ("attachment; filename", None),
    ],
)
def test_file_names_are_read_in_every_form(value: str, name: str | None) -> None:
    assert parse_parameters(value)[1].get("filename") == name


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("TEXT/Html; charset=x", "text/html"),
        ('"application/pdf"', "application/pdf"),
        ("application/pdf name=a.pdf", "application/pdf"),
        ("text", "text/plain"),
        ("", "text/plain"),
        (";;;", "text/plain"),
    ],
)
def test_a_type_is_read_or_is_the_default(value: str, kind: str) -> None:
    assert content_type(value)[0] == kind


def test_parameters_are_found_behind_a_type_without_semicolon() -> None:
    assert content_type("application/pdf name=a.pdf")[1] == {"name": "a.pdf"}


@pytest.mark.parametrize("piece", [";", "a=", ";a", ';a="', ";a*0*=%", "; ", '"', "\\"])
def test_hostile_parameters_take_linear_time(piece: str) -> None:
    start = time.process_time()
    parse_parameters("x/y;" + piece * (65_536 // len(piece)))
    assert time.process_time() - start < 1
