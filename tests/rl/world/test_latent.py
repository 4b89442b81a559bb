"""Sets of candidates stay with their states, whatever is selected or joined; the encoder is that of the agent."""

from __future__ import annotations

import numpy as np
import torch

from rl.agent.batch import collate
from rl.agent.network import Network
from rl.world.encoder import encode
from rl.world.imagination import judge
from rl.world.latent import LatentState, joined, mean_of_each
from tests.rl.observations import observation
from tests.rl.world import trajectories


def state(counts: list[int], seed: int = 0) -> LatentState:
    generator = torch.Generator().manual_seed(seed)
    num_states, num_candidates = len(counts), sum(counts)
    return LatentState(
        summaries=torch.randn(num_states, 8, generator=generator),
        candidates=torch.randn(num_candidates, 8, generator=generator),
        rules=torch.randint(1024, (num_candidates,), generator=generator),
        owner=torch.arange(num_states).repeat_interleave(torch.tensor(counts)),
        log_costs=-torch.rand(num_states, generator=generator),
        num_enodes=torch.full((num_states,), 50.0),
    )


def test_selecting_against_a_loop() -> None:
    whole = state([2, 0, 3, 1])
    places = [2, 2, 1, 0]
    some = whole.select(torch.tensor(places))
    assert torch.equal(some.summaries, whole.summaries[places])
    assert some.counts.tolist() == [3, 3, 0, 2]
    for place, source in enumerate(places):
        assert torch.equal(some.candidates[some.owner == place], whole.candidates[whole.owner == source])
        assert torch.equal(some.rules[some.owner == place], whole.rules[whole.owner == source])
    assert torch.equal(some.owner, some.owner.sort().values)


def test_joining_and_selecting_are_inverse() -> None:
    parts = [state([2, 1], 0), state([0], 1), state([3, 0], 2)]
    whole = joined(parts)
    assert whole.first().tolist() == [0, 2, 3, 3, 6]
    assert torch.equal(whole.select(torch.tensor([3, 4])).candidates, parts[2].candidates)
    assert torch.equal(whole.select(torch.tensor([0, 1])).owner, parts[0].owner)
    assert torch.allclose(whole.potentials, 1 - whole.log_costs.exp())


def test_mean_of_each_against_a_loop() -> None:
    rows, owner = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 0, 2, 2, 2, 3])
    found = mean_of_each(rows, owner, 5)
    for place in range(5):
        own = rows[owner == place]
        assert torch.allclose(found[place], own.mean(dim=0) if len(own) else torch.zeros(2))


def test_the_policy_of_latent_states_is_the_policy_of_observations() -> None:
    torch.manual_seed(0)
    network = Network(trajectories.TINY)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    seen = [observation(seed) for seed in range(6)]
    for each in seen:
        each.action_mask[:] = True
    with torch.no_grad():
        batch = collate(seen, torch.device("cpu"))
        said = network(batch)
        latent = encode(network, seen, np.zeros(6), np.full(6, 50))
        judged = judge(network, latent).assessment
    assert torch.allclose(judged.values, said.values, atol=1e-6)
    assert torch.allclose(judged.log_probs[:6], said.log_probs[batch.first_action], atol=1e-6)
    assert torch.allclose(judged.log_probs[6:], said.log_probs[batch.candidate_action], atol=1e-6)
