from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mail.charset import base64_bytes, codec_of, decode_bytes, decode_words, detect, guess


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("utf-8", "utf-8"), ("ISO-8859-1", "cp1252"), ("us-ascii", "ascii"), ("ISO-8859-15", "iso8859-15"),
        ("ks_c_5601-1987", "cp949"), ("gb2312", "gb18030"), ("x-sjis", "cp932"), ('"UTF8"', "utf-8"),
    ],
)  # fmt: skip
def test_labels_of_the_wild_are_known(charset: str, codec: str) -> None:
    assert codec_of(charset) == codec


@pytest.mark.parametrize(
    "label", ["zip", "rot13", "punycode", "idna", "unicode_escape", "undefined", "nonsense", "", "a" * 99]
)
def test_codecs_that_are_no_charset_of_mail_are_refused(label: str) -> None:
    assert codec_of(label) is None
    assert decode_bytes(b"plain", label) == "plain"


def test_a_lying_label_is_found_out() -> None:
    assert decode_bytes("Grüße aus Köln".encode(), "us-ascii") == "Grüße aus Köln"
    assert decode_bytes("Grüße aus Köln".encode("cp1252"), "utf-8") == "Grüße aus Köln"
    assert decode_bytes("日本語".encode("cp932"), "shift_jis") == "日本語"


def test_text_without_a_label_is_guessed() -> None:
    assert decode_bytes("Grüße".encode(), None) == "Grüße"
    assert decode_bytes("Grüße aus München".encode("cp1252"), None) == "Grüße aus München"
    assert decode_bytes("Привет, как дела? Сегодня идём гулять".encode("koi8-r"), None).startswith("Привет")


def test_seven_bit_japanese_is_known_by_its_escapes() -> None:
    assert decode_bytes("日本語です".encode("iso-2022-jp"), None) == "日本語です"
    assert decode_bytes("日本語です".encode("iso-2022-jp"), "us-ascii") == "日本語です"


def test_one_bad_octet_is_damage_and_not_another_charset() -> None:
    text = "Übrigens: " + "größere Mengen an Text " * 20
    assert decode_bytes(text.encode() + b"\xff", "utf-8") == text + "\ufffd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=?utf-8?q?J=C3=B6rg_M?= x", "Jörg M x"),
        ("a =?utf-8?B?w6k=?= =?utf-8?Q?b?= c", "a éb c"),
        ("=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "é"),
        ("=?utf-8?B?w6k?=", "é"),
        ("=?UTF-8?Q?what?_now?=", "what? now"),
        ("=?iso-8859-1?Q?Fr\u00f6sche?=", "Frösche"),
        ("=?utf-8*en?q?hi?=", "hi"),
        ("=?x-unknown?q?abc?=", "abc"),
        ("=?utf-8?q?unclosed", "=?utf-8?q?unclosed"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
    ],
)
def test_encoded_words_are_decoded_tolerantly(text: str, expected: str) -> None:
    assert decode_words(text) == expected


def test_a_decoded_word_can_neither_end_a_line_nor_be_half_a_character() -> None:
    assert decode_words("=?utf-8?q?a=0D=0ABcc:_x=00?=") == "a\ufffd\ufffdBcc: x\ufffd"
    decode_words("=?utf-7?q?+2AA-?=").encode()


@pytest.mark.parametrize("piece", ["=?a?q?", "=?utf-8?q?=41?= ", "=?utf-8?b?", "?=", "=?utf-8?q????"])
def test_hostile_words_take_linear_time(piece: str) -> None:
    start = time.process_time()
    decode_words(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 1


def test_base64_in_pieces_with_rubbish_and_cut_off_is_decoded() -> None:
    assert base64_bytes(b"YQ==\r\nYg==") == b"ab"
    assert base64_bytes(b"YWJj!!ZGVm") == b"abcdef"
    assert base64_bytes(b"YWJjZ") == b"abc"
    assert base64_bytes(b"====") == b""


@given(
    st.binary(max_size=200),
    st.sampled_from(["utf-8", "utf-7", "utf-16", "hz", "iso-2022-jp", "big5", None, "x"]),
)
def test_any_octets_become_text_that_can_be_stored(data: bytes, charset: str | None) -> None:
    decode_bytes(data, charset).encode()


@pytest.mark.parametrize("text", ["It\x92s \x93here\x94\x85", "a caf\xe9 " + "in a long English text. " * 10])
def test_a_few_signs_and_letters_in_ascii_are_western(text: str) -> None:
    data = text.encode("latin-1")
    assert detect(data) is None
    assert guess(data) == data.decode("cp1252")
