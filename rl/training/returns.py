"""What a step turned out to be worth: advantages and returns of a rollout, in numpy.

Arrays have the shape (num_steps, num_envs): time runs down, environments stand side by side.
"""

from __future__ import annotations

import numpy as np


def td_errors(
    rewards: np.ndarray, values: np.ndarray, next_values: np.ndarray, terminated: np.ndarray, gamma: float
) -> np.ndarray:
    """Return ``r + gamma * V(s') - V(s)``, where the value after a terminal state is zero.

    Sutton and Barto 2018, equation 6.5; that a limit of time is no terminal state: Pardo et al. 2018, "Time limits in
    reinforcement learning".

    Args:
        rewards: Paid by each step; (num_steps, num_envs).
        values: Of the state before each step; (num_steps, num_envs).
        next_values: Of the state that each step led to, which at the end of an episode is its final observation and
            not the first one of the next; (num_steps, num_envs).
        terminated: True where the task ended; a truncated episode has not; (num_steps, num_envs).
        gamma: Discount.
    """
    errors: np.ndarray = rewards + gamma * np.where(terminated, 0.0, next_values) - values
    return errors


def gae(errors: np.ndarray, is_last: np.ndarray, gamma: float, lambda_: float) -> np.ndarray:
    """Return generalised advantage estimates: ``A_t = delta_t + gamma * lambda * A_(t+1)`` within an episode.

    Schulman et al. 2016, "High-dimensional continuous control using generalized advantage estimation", equation 16.

    Args:
        errors: Temporal-difference errors, see :func:`td_errors`; (num_steps, num_envs).
        is_last: True where an episode ended, terminated or truncated; (num_steps, num_envs).
        gamma: Discount.
        lambda_: 0 trusts the values, 1 trusts the rewards.
    """
    advantages = np.zeros_like(errors, dtype=np.float64)
    following = np.zeros(errors.shape[1:], dtype=np.float64)
    for step in reversed(range(len(errors))):
        following = errors[step] + gamma * lambda_ * np.where(is_last[step], 0.0, following)
        advantages[step] = following
    return advantages


def normalised(advantages: np.ndarray, epsilon: float = 1e-8) -> np.ndarray:
    """Return advantages with mean 0 and standard deviation 1; zeros where they are all the same.

    Andrychowicz et al. 2021, "What matters for on-policy deep actor-critic methods?", choice "advantage normalisation".

    Args:
        advantages: Of one batch; any shape.
        epsilon: Added to the standard deviation.
    """
    scaled: np.ndarray = (advantages - advantages.mean()) / (advantages.std() + epsilon)
    return scaled


def explained_variance(values: np.ndarray, returns: np.ndarray) -> float:
    """Return ``1 - var(returns - values) / var(returns)``: 1 is a perfect value function, 0 one that knows nothing.

    Args:
        values: What was predicted; any shape.
        returns: What came; the same shape.

    Returns:
        0 where the returns do not vary.
    """
    variance = float(np.var(returns))
    return 1.0 - float(np.var(returns - values)) / variance if variance > 0 else 0.0
