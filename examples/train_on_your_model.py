"""Let the agent learn about one model before it searches it: ``python examples/train_on_your_model.py MODEL.onnx``.

The agent plays on the model itself for ``--train`` seconds, beginning with the policy that ships, and then chooses
rewrites by what it has learnt. Needs the extra ``learn``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import eqsat


def main() -> None:
    """Print what became of the model."""
    parser = argparse.ArgumentParser(description="Train on a model, then optimise it.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", type=float, default=60.0, help="seconds of learning, on top of the others")
    parser.add_argument("--seconds", type=float, default=60.0, help="time budget")
    given = parser.parse_args()
    budget = eqsat.Budget(time_s=given.seconds, training_s=given.train)
    result = eqsat.optimize(given.model, search="ppo", threads=1, budget=budget)
    print(result.report)


if __name__ == "__main__":
    main()
