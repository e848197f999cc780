from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from agent.errors import CommandError
from agent.mail.query import Date, Has, Is, Node, Person, Size, Tag, Words
from agent.mail.query_keywords import from_keywords

NOW = 1_795_700_000


@pytest.mark.parametrize(
    ("terms", "node"),
    [
        ({"from_": "bob", "unread": True}, Person("from", "bob") & Is("unread")),
        ({"flagged": False, "attachment": True}, ~Is("flagged") & Has("attachment")),
        ({"seen": False}, ~Is("read")),
        ({"is_": "unread", "has": "calendar"}, Is("unread") & Has("calendar")),
        ({"since": "7d"}, Date("date", NOW - 604_800)),
        ({"since": date(2026, 11, 23)}, Date("date", 1_795_392_000)),
        ({"before": datetime(2026, 11, 23, 1, tzinfo=UTC)}, Date("date", None, 1_795_395_600)),
        ({"before": datetime(2026, 11, 23, 1, 0, 5)}, Date("date", None, 1_795_395_605)),
        ({"larger": 1000, "smaller": "1M"}, Size(larger=1000) & Size(smaller=1 << 20)),
        ({"tag": ["a", "b"]}, Tag("a") | Tag("b")),
        ({"subject": "from:x OR y"}, Words("subject", "from:x OR y")),
        ({"text": "lunch friday"}, Words("any", "lunch") & Words("any", "friday")),
    ],
)
def test_keywords_make_the_query(terms: dict, node: Node) -> None:
    assert from_keywords(NOW, UTC, **terms) == node


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"form_": "bob"}, "cannot search by 'form'; did you mean 'from'?"),
        ({"unreed": True}, "did you mean 'unread'?"),
        ({"subject": 5}, "cannot search by subject=5"),
        ({"subject": "→"}, "nothing to look for"),
        ({"from_": ""}, "needs a value"),
        ({"since": "someday"}, "cannot read the date"),
        ({"is_": "legs"}, "unknown is:legs"),
    ],
)
def test_a_wrong_keyword_is_an_error_that_says_what_to_write(terms: dict, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        from_keywords(NOW, UTC, **terms)
    assert message in str(caught.value)
