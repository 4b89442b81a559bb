"""The page shows what was assessed, and needs nothing from the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rl.world.assessment import Tally, assess, stories
from rl.world.page import rule_f1, write_page
from tests.rl.world import trajectories


def test_a_page_shows_stories_rules_and_calibration(tmp_path: Path) -> None:
    model = trajectories.model()
    episodes = [trajectories.drawn(seed, 6) for seed in range(4)]
    found = assess(model, episodes, gamma=0.99, rng=np.random.default_rng(0), num_samples=2)
    rule = next(iter(found[0].tallies))
    write_page(found, stories(model, episodes), {rule: "a-rule-of-ours"}, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    for shown in ("a-rule-of-ours", "drawn-3", "horizon 5", "quantile"):
        assert shown in text
    assert 'src="http' not in text


def test_a_story_begins_with_the_truth() -> None:
    model, episode = trajectories.model(num_members=2), trajectories.drawn(0, 5)
    (story,) = stories(model, [episode])
    assert story.real == pytest.approx(episode.costs_us[: episode.num_moves + 1] / episode.costs_us[0])
    assert [each[0] for each in story.foreseen] == pytest.approx([1.0, 1.0])
    assert story.foreseen[0] != story.foreseen[1]


def test_f1_of_a_rule() -> None:
    assert rule_f1(Tally(num_hits=3, num_false=1, num_missed=2)) == pytest.approx(6 / 9)
