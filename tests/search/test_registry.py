"""Searches by name: built in, from entry points, and those that do not exist."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint

import pytest

from eqsat.errors import UsageError
from eqsat.search.beam import Beam
from eqsat.search.chance import Random
from eqsat.search.greedy import Greedy
from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.mcts import ActionKind, Mcts
from eqsat.search.registry import BUILT_IN, make_search, search_names
from eqsat.search.restarts import Restarts
from eqsat.search.saturation import Saturate
from tests.search.documentation import documented, shown


class Lazy:
    """A search of somebody else's."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = dict(options)

    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        return Outcome(stop_reason=StopReason.NO_GAIN, num_steps=0, num_applied=0)


def _mcts(num_simulations: int, max_rollout: int, exploration: float) -> Mcts:
    return Mcts(num_simulations=num_simulations, max_rollout=max_rollout, exploration=exploration)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package offers the search ``lazy``."""
    entry = EntryPoint(name="lazy", value=f"{__name__}:Lazy", group="eqsat.searches")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Lazy)
    monkeypatch.setattr(
        "eqsat.search.registry.entry_points", lambda group: [entry] if group == "eqsat.searches" else []
    )


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("saturate", {}, Saturate()),
        ("saturate", {"max-per-rule": "7"}, Saturate(max_per_rule=7)),
        ("saturate", {"restarts": "3"}, Saturate(restarts=Restarts(count=3))),
        ("greedy", {"min-gain": "0.5"}, Greedy(min_gain=0.5)),
        ("random", {"steps": "3"}, Random(num_steps=3)),
        ("beam", {}, Beam()),
        ("beam", {"alpha": "1.5", "width": "2"}, Beam(alpha=1.5, width=2)),
        ("mcts", {}, Mcts()),
        ("mcts", {"simulations": "5", "rollout": "2", "exploration": "0"}, _mcts(5, 2, 0.0)),
        ("mcts", {"actions": "group"}, Mcts(actions=ActionKind.GROUP)),
    ],
)
def test_options_reach_the_search(name: str, options: dict[str, str], expected: Search) -> None:
    assert make_search(name, options) == expected


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gready", {}, r"there is no search 'gready' \(there are: saturate, greedy, random"),
        ("saturate", {"restarts": "-1"}, "option 'restarts' must be a number from 0, not '-1'"),
        ("greedy", {"steps": "3"}, r"search 'greedy' has no option 'steps' \(it has: min-gain\)"),
        ("beam", {"widht": "3"}, r"no option 'widht' .*; did you mean 'width'"),
        ("mcts", {"actions": "groups"}, r"rule, group, not 'groups'; did you mean 'group'"),
        ("random", {"steps": "0"}, "option 'steps' must be a number above 0, not '0'"),
        ("random", {"steps": "many"}, "option 'steps' must be a number above 0, not 'many'"),
        ("greedy", {"min-gain": "much"}, "option 'min-gain' must be a number, not 'much'"),
        ("greedy", {"min-gain": "nan"}, "option 'min-gain' must be a number from 0 to 1, not 'nan'"),
        ("beam", {"alpha": "0.9"}, "option 'alpha' must be a number from 1, not '0.9'"),
        ("beam", {"alpha": "inf"}, "option 'alpha' must be a number from 1, not 'inf'"),
        ("mcts", {"exploration": "much"}, "option 'exploration' must be a number, not 'much'"),
        ("mcts", {"actions": "all"}, "option 'actions' must be one of rule, group, not 'all'"),
        ("greedy", {"min-gain": "-0.5"}, "option 'min-gain' must be a number from 0 to 1, not '-0.5'"),
    ],
)
def test_a_mistake_is_named(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_search(name, options)


@pytest.mark.usefixtures("installed")
def test_packages_offer_searches() -> None:
    assert search_names()[-1] == "lazy"
    found = make_search("lazy", {"any": "thing"})
    assert isinstance(found, Lazy)
    assert found.options == {"any": "thing"}


def test_the_built_in_ones_come_first() -> None:
    assert search_names()[:5] == ("saturate", "greedy", "random", "beam", "mcts")


@pytest.mark.parametrize(("search", "name", "default"), [each for kind in BUILT_IN.items() for each in shown(*kind)])
def test_every_option_stands_in_the_documentation_with_its_default(search: str, name: str, default: str) -> None:
    assert f"`{name}` ({default})" in documented(search)
