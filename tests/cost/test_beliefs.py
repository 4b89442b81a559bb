"""Beliefs are those of the joint normal distribution, and what is measured makes them surer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqsat.cost.beliefs import DEVICE_STD, KERNEL_STD, OWN_STD, SIZE_STD, Beliefs, Kernel

PRIOR = DEVICE_STD**2 + KERNEL_STD**2 + SIZE_STD**2 + OWN_STD**2


def covariance(one: Kernel, other: Kernel, *, is_one: bool) -> float:
    """The formula, for two prices."""
    distance = math.log(one.roofline_us) - math.log(other.roofline_us)
    own = OWN_STD**2 if is_one else 0.0
    same = KERNEL_STD**2 + SIZE_STD**2 * math.exp(-(distance**2) / 2) if one.name == other.name else 0.0
    return DEVICE_STD**2 + same + own


def matrix(kernels: list[Kernel]) -> np.ndarray:
    numbers = range(len(kernels))
    return np.array([[covariance(kernels[i], kernels[j], is_one=i == j) for j in numbers] for i in numbers])


def test_without_a_measurement_the_roofline_is_believed() -> None:
    kernels = [Kernel("MatMul", 8.0), Kernel("Relu", 2.0)]
    posterior = Beliefs().about(kernels)
    assert posterior.medians_us() == pytest.approx([8.0, 2.0])
    assert posterior.stds() == pytest.approx(math.sqrt(PRIOR))
    assert posterior.covariance == pytest.approx(matrix(kernels))


def test_a_belief_is_the_joint_normal_distribution_given_what_was_measured() -> None:
    measured = [(Kernel("MatMul", 8.0), 20.0), (Kernel("MatMul", 90.0), 150.0), (Kernel("Relu", 2.0), 1.0)]
    asked = [Kernel("MatMul", 30.0), Kernel("Gelu", 5.0)]
    beliefs = Beliefs()
    for kernel, price_us in measured:
        beliefs.observe(str(kernel), kernel, price_us)
    whole = matrix([*asked, *(kernel for kernel, _ in measured)])
    ratios = np.array([math.log(price_us / kernel.roofline_us) for kernel, price_us in measured])
    precision = np.linalg.inv(whole)[:2, :2]
    expected = np.linalg.inv(precision)
    shift = -expected @ np.linalg.inv(whole)[:2, 2:] @ ratios
    found = beliefs.about(asked)
    assert found.covariance == pytest.approx(expected)
    assert found.log_us == pytest.approx(np.log([30.0, 5.0]) + shift)


def test_a_slow_device_is_slow_at_what_was_never_measured() -> None:
    beliefs = Beliefs()
    for name in ("MatMul", "Relu", "Softmax", "Add", "Conv"):
        beliefs.observe(name, Kernel(name, 10.0), 200.0)
    (median,) = beliefs.about([Kernel("Gelu", 1.0)]).medians_us()
    assert 10.0 < median < 20.0


def test_what_cannot_run_says_nothing_of_others() -> None:
    beliefs = Beliefs()
    beliefs.observe("a", Kernel("MatMul", 8.0), math.inf)
    assert beliefs.about([Kernel("MatMul", 8.0)]).medians_us() == pytest.approx([8.0])


def test_what_takes_no_time_to_speak_of_says_no_more_than_that() -> None:
    tiny, none = Beliefs(), Beliefs()
    tiny.observe("a", Kernel("Cast", 1.0), 0.9)
    none.observe("a", Kernel("Cast", 1.0), 1e-3)
    kernels = [Kernel("Cast", 50.0), Kernel("Relu", 5.0)]
    assert tiny.about(kernels).log_us == pytest.approx(none.about(kernels).log_us)


def test_what_is_learnt_again_replaces_what_was_learnt_before() -> None:
    once, twice = Beliefs(), Beliefs()
    for price_us in (99.0, 20.0, 20.0):
        twice.observe("a", Kernel("MatMul", 8.0), price_us)
    once.observe("a", Kernel("MatMul", 8.0), 20.0)
    asked = [Kernel("MatMul", 9.0), Kernel("Relu", 2.0)]
    assert twice.about(asked).covariance == pytest.approx(once.about(asked).covariance)
    assert twice.about(asked).log_us == pytest.approx(once.about(asked).log_us)


def test_draws_have_the_mean_and_the_covariance_of_the_belief() -> None:
    beliefs = Beliefs()
    beliefs.observe("a", Kernel("MatMul", 8.0), 20.0)
    posterior = beliefs.about([Kernel("MatMul", 9.0), Kernel("MatMul", 40.0), Kernel("Relu", 2.0)])
    logs = np.log(posterior.drawn_us(40_000, np.random.default_rng(0)))
    assert logs.mean(axis=0) == pytest.approx(posterior.log_us, abs=0.02)
    assert np.cov(logs.T) == pytest.approx(posterior.covariance, abs=0.03)


KERNELS = st.builds(Kernel, st.sampled_from(["MatMul", "Relu", "Add"]), st.floats(0.1, 1e4))


@given(st.lists(st.tuples(KERNELS, st.floats(0.1, 1e5)), max_size=8), KERNELS, st.tuples(KERNELS, st.floats(0.1, 1e5)))
def test_a_measurement_never_makes_less_sure(
    measured: list[tuple[Kernel, float]], asked: Kernel, another: tuple[Kernel, float]
) -> None:
    beliefs = Beliefs()
    for kernel, price_us in measured:
        beliefs.observe(str(kernel), kernel, price_us)
    before = beliefs.about([asked]).stds()[0]
    beliefs.observe("another", *another)
    assert beliefs.about([asked]).stds()[0] <= before + 1e-9
    assert before >= OWN_STD - 1e-9
