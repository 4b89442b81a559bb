"""The world model that ships: it loads, it foresees kinds of tasks that it was not trained on, and it is small."""

from __future__ import annotations

from rl.agent.checkpoint import load as load_policy
from rl.families import Split, make_tasks
from rl.world.checkpoint import load
from rl.world.evaluate import Evaluation, evaluate
from rl.world.planning import SHIPPED

MAX_BYTES = 6_000_000


def test_it_is_a_few_megabytes() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < MAX_BYTES


def test_it_is_a_policy_too() -> None:
    load_policy(SHIPPED).build()


def test_it_foresees_what_it_was_not_trained_on() -> None:
    model, _ = load(SHIPPED)
    tasks = make_tasks(range(900, 903), split=Split.HELD_OUT)
    report = evaluate(model, tasks, Evaluation(max_steps=8, num_episodes=2, num_states=16))
    near = report.foresights[0]
    assert near.horizon == 1
    assert near.reward_correlation > 0.4
    assert near.mask_f1 > 0.9
    assert report.speed.ratio > 1.0
