"""Both ways in which the future may be open: they learn what there is to learn, and draw what they have learnt."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rl.world.stochastic import CategoricalTransition, MixtureTransition, drawn_class

BOTH = pytest.mark.parametrize("kind", ["mixture", "categorical"])


def made(kind: str, num_groups: int = 2) -> MixtureTransition | CategoricalTransition:
    torch.manual_seed(0)
    return MixtureTransition(6, 3, 4) if kind == "mixture" else CategoricalTransition(6, 3, num_groups, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@BOTH
def test_a_seed_draws_the_same(kind: str) -> None:
    transition, context = made(kind), torch.randn(5, 6, generator=seeded())
    one, two = (transition.foresee(context, seeded(7)).change for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, transition.foresee(context, seeded(8)).change)
    assert torch.equal(transition.foresee(context, None).change, transition.foresee(context, None).change)


@BOTH
def test_two_futures_are_told_apart_from_their_mean(kind: str) -> None:
    """One context, two outcomes: what is drawn must come close to one of them, never to the middle."""
    transition = made(kind, num_groups=1)
    optimizer = torch.optim.Adam(transition.parameters(), lr=0.02)
    generator, context = seeded(), torch.ones(64, 6)
    ends = torch.tensor([[3.0, -3.0, 3.0], [-3.0, 3.0, -3.0]])
    losses: list[float] = []
    for _ in range(200):
        change = ends[torch.randint(2, (64,), generator=generator)]
        loss = transition.explain(context, change, generator).loss.mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
    drawn = transition.foresee(torch.ones(400, 6), generator).change.detach()
    distance = torch.cdist(drawn, ends)
    assert float((distance.min(dim=1).values < 1.5).double().mean()) > 0.9
    assert 0.3 < float((distance.argmin(dim=1) == 0).double().mean()) < 0.7


@BOTH
def test_explaining_has_a_gradient_for_every_weight(kind: str) -> None:
    transition = made(kind)
    context, change = torch.randn(9, 6, generator=seeded(1)), 3.0 * torch.randn(9, 3, generator=seeded(2))
    outcome = transition.explain(context, change, seeded())
    (outcome.loss.sum() + outcome.change.sum() + outcome.features.sum()).backward()  # type: ignore[no-untyped-call]
    for name, parameter in transition.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_classes_are_drawn_by_their_probabilities() -> None:
    logits = torch.tensor([0.7, 0.2, 0.1]).log().expand(20_000, 3)
    shares: Tensor = torch.bincount(drawn_class(logits, seeded()), minlength=3) / 20_000
    assert shares.tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
