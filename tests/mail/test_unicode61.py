from __future__ import annotations

from agent.mail.words import split_cjk, tokens
from tests.mail.test_words import index_tokens


def test_every_code_point_is_split_and_folded_as_the_index_does_it() -> None:
    # The planes above the second hold Han letters and little else: a sample of them will do.
    chosen = [*range(0x20000), *range(0x20000, 0x110000, 89), *range(0xE0000, 0xE0200)]
    points = [point for point in chosen if not 0xD800 <= point < 0xE000]
    texts = [f"a{chr(point)}b" for point in points]
    index = index_tokens(split_cjk(text) for text in texts)
    wrong = [hex(point) for n, point in enumerate(points) if tokens(texts[n]) != index[n]]
    assert wrong == []
