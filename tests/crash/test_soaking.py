"""A few of the steps that `scripts/soak` tries: killed there, or its line cut, the agent comes out the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.soaking import outcome, tuning
from scripts.soaking.campaign import Campaign, Point, sample
from scripts.soaking.faults import KILL
from scripts.soaking.scenarios import SCENARIOS
from scripts.soaking.zygote import Zygote
from tests.harness.dovecot import Dovecot
from tests.harness.sink import Sink

TRIED = (
    "first", "news qresync", "news plain", "verbs", "clash", "validity", "drafts old", "across", "undo", "send"
)  # fmt: skip


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.stop()


@pytest.mark.parametrize("name", TRIED)
def test_killed_at_a_step_it_comes_out_as_if_nothing_had_happened(
    zygote: Zygote, dovecot: Dovecot, sink: Sink, tmp_path: Path, name: str
) -> None:
    campaign = Campaign(SCENARIOS[name], dovecot, sink, tmp_path)
    campaign.prepare(zygote)
    reached = [campaign.attempt(zygote, point) for point in sample(campaign.telling(), 3)]
    assert any(reached)  # on a busy machine a run may take a step less


def test_a_scenario_has_many_steps_and_all_of_them_are_tried_on_demand(
    zygote: Zygote, dovecot: Dovecot, sink: Sink, tmp_path: Path
) -> None:
    campaign = Campaign(SCENARIOS["answer"], dovecot, sink, tmp_path)
    campaign.prepare(zygote)
    labels = {point.label.partition("  [")[0] for point in campaign.telling() if point.fault == KILL}
    assert {
        "before the commit of core.outbound.Outbound._sent.work",
        "after the commit of core.outbound.Outbound._sent.work",
        "before saying .",
        "before sending UID STORE 3 +FLAGS.SILENT (\\Answered)",
        "with the answer to UID STORE 3 +FLAGS.SILENT (\\Answered)",
    } <= labels
    assert set(campaign.telling()) < set(campaign.points)


def test_a_point_says_what_died_where() -> None:
    assert (
        str(Point(KILL, 7, "before sending UID MOVE 1 Archive"))
        == "kill 7: before sending UID MOVE 1 Archive"
    )


def test_a_difference_says_what_is_missing_and_what_is_too_much() -> None:
    expected = {"server work/INBOX": ["m1", "m2", "m2"], "sent": []}
    got = {"server work/INBOX": ["m2", "m1"], "server work/Trash": ["m3"]}
    assert outcome.difference(expected, got) == ["server work/INBOX: - m2", "server work/Trash: + m3"]
    assert outcome.difference(expected, expected) == []


def test_every_size_that_is_made_small_is_one_of_the_agent() -> None:
    for module, name, value in tuning.SIZES:
        assert type(getattr(module, name)) is type(value), f"{module.__name__}.{name}"
