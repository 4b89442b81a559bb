"""An imagined step: candidates stay, go and come as the outlook says, and keep their owners and rules."""

from __future__ import annotations

import pytest
import torch

from rl.world.dynamics import Outlook
from rl.world.identity import NEW
from rl.world.step import imagine_step
from rl.world.stochastic import Openness
from tests.rl.world import trajectories
from tests.rl.world.test_latent import state

OPEN = pytest.mark.parametrize("openness", list(Openness))


@OPEN
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_step_keeps_the_books(openness: Openness, seed: int | None) -> None:
    model = trajectories.model(openness)
    before = state([3, 1, 4])
    model.learn_rules({*before.rules.tolist(), 7, 8, 9})
    with torch.no_grad():
        model.member(0).appear_bias[0] += 3.0
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        step = imagine_step(model, model.member(0), before, before.first(), generator)
    after, stayed = step.state, step.origins != NEW
    assert torch.equal(after.owner, after.owner.sort().values)
    assert torch.equal(after.rules[stayed], before.rules[step.origins[stayed]])
    assert torch.equal(after.owner[stayed], before.owner[step.origins[stayed]])
    assert len(set(step.origins[stayed].tolist())) == int(stayed.sum())
    assert set(after.rules[~stayed].tolist()) <= {*before.rules.tolist(), 7, 8, 9}
    assert all(torch.isfinite(each).all() for each in (after.summaries, after.candidates, after.log_costs))
    assert (after.num_enodes > 0).all()


@OPEN
def test_candidates_persist_by_their_logit(openness: Openness) -> None:
    model, before = trajectories.model(openness), state([3, 2])
    bias = model.member(0).fate[1].get_parameter("bias")
    for logit, expected in ((50.0, [3, 2]), (-50.0, [0, 0])):
        with torch.no_grad():
            bias[0] = logit
            step = imagine_step(model, model.member(0), before, before.first(), None)
        assert step.state.select(torch.arange(2)).counts.tolist() == expected


def test_what_appears_has_the_rule_that_was_foreseen() -> None:
    model, before = trajectories.model(), state([1, 1])
    model.learn_rules({5, 17, 400})
    member = model.member(0)
    with torch.no_grad():
        member.appear_bias[0] = -50.0
        member.appear_bias[0, int(model.numbers_of(torch.tensor(17)))] = 50.0
        member.fate[1].get_parameter("bias")[0] = -50.0
        step = imagine_step(model, member, before, before.first(), torch.Generator().manual_seed(0))
    assert set(step.state.rules.tolist()) == {17}
    assert set(step.state.owner.tolist()) == {0, 1}
    assert (step.origins == NEW).all()


def test_there_are_never_too_many_candidates() -> None:
    model, before = trajectories.model(), state([5, 1])
    model.learn_rules(range(60))
    model.config = type(model.config)(max_candidates=6, num_rules=64)
    member = model.member(0)
    with torch.no_grad():
        member.appear_bias[0] = 50.0
        member.fate[1].get_parameter("bias")[0] = 50.0
        step = imagine_step(model, member, before, before.first(), torch.Generator().manual_seed(0))
    assert step.state.counts.tolist() == [6, 6]
    assert step.origins[step.state.owner == 0].tolist()[:5] == [0, 1, 2, 3, 4]


@OPEN
def test_an_outlook_does_not_depend_on_the_order_of_candidates(openness: Openness) -> None:
    model, before = trajectories.model(openness), state([4])
    order = torch.tensor([2, 0, 3, 1])
    shuffled = type(before)(
        summaries=before.summaries,
        candidates=before.candidates[order],
        rules=before.rules[order],
        owner=before.owner,
        log_costs=before.log_costs,
        num_enodes=before.num_enodes,
    )
    one = _outlook(model, before, 2)
    two = _outlook(model, shuffled, 0)
    assert torch.allclose(one.persists[order], two.persists, atol=1e-5)
    assert torch.allclose(one.changes[order], two.changes, atol=1e-5)
    assert torch.allclose(one.drops, two.drops, atol=1e-5)
    assert torch.allclose(one.appears, two.appears, atol=1e-5)
    assert not torch.allclose(one.drops, _outlook(model, before, 3).drops, atol=1e-5)


def _outlook(model: object, state_: object, chosen: int) -> Outlook:
    from rl.world.latent import LatentState
    from rl.world.model import WorldModel

    assert isinstance(model, WorldModel)
    assert isinstance(state_, LatentState)
    with torch.no_grad():
        return model.member(0).foresee(model.situation(state_, torch.tensor([chosen])), None)
