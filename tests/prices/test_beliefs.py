"""Beliefs are those of the joint normal distribution, and what is measured makes them surer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqsat.prices.beliefs import DEVICE_STD, KERNEL_STD, OWN_STD, SIZE_STD, TRANSFER_STD, Beliefs, Kernel, Posterior

PRIOR = DEVICE_STD**2 + KERNEL_STD**2 + SIZE_STD**2 + TRANSFER_STD**2 + OWN_STD**2


def covariance(one: Kernel, other: Kernel, *, is_one: bool, is_here: bool, has_device: bool) -> float:
    """The formula, for two prices."""
    distance = math.log(one.roofline_us) - math.log(other.roofline_us)
    own = OWN_STD**2 if is_one else 0.0
    device = DEVICE_STD**2 if has_device else 0.0
    if one.name != other.name:
        return device + own
    transfer = TRANSFER_STD**2 if is_here else 0.0
    return device + transfer + KERNEL_STD**2 + SIZE_STD**2 * math.exp(-(distance**2) / 2) + own


def matrix(kernels: list[Kernel], num_there: int = 0) -> np.ndarray:
    """The covariance of all, of which the last ones are of the device of reference, whose own part is known."""
    numbers, num_here = range(len(kernels)), len(kernels) - num_there
    return np.array(
        [
            [
                covariance(
                    kernels[i],
                    kernels[j],
                    is_one=i == j,
                    is_here=(i < num_here) == (j < num_here),
                    has_device=max(i, j) < num_here,
                )
                for j in numbers
            ]
            for i in numbers
        ]
    )


def given_what_was_measured(
    asked: list[Kernel], here: list[tuple[Kernel, float]], there: list[tuple[Kernel, float]]
) -> Posterior:
    """The joint normal distribution, all at once; ``there``: with the logarithms of the ratios to the rooflines."""
    count = len(asked)
    whole = np.linalg.inv(matrix([*asked, *(kernel for kernel, _ in (*here, *there))], len(there)))
    ratios = [math.log(price_us / kernel.roofline_us) for kernel, price_us in here] + [ratio for _, ratio in there]
    expected = np.linalg.inv(whole[:count, :count])
    shift = -expected @ whole[:count, count:] @ np.array(ratios)
    return Posterior(np.log([kernel.roofline_us for kernel in asked]) + shift, expected)


def test_without_a_measurement_the_roofline_is_believed() -> None:
    kernels = [Kernel("MatMul", 8.0), Kernel("Relu", 2.0)]
    posterior = Beliefs().about(kernels)
    assert posterior.medians_us() == pytest.approx([8.0, 2.0])
    assert posterior.stds() == pytest.approx(math.sqrt(PRIOR))
    assert posterior.covariance == pytest.approx(matrix(kernels))


HERE = [(Kernel("MatMul", 8.0), 20.0), (Kernel("MatMul", 90.0), 150.0), (Kernel("Relu", 2.0), 1.0)]
THERE = [(Kernel("MatMul", 20.0), 30.0), (Kernel("Gelu", 6.0), 60.0), (Kernel("Gelu", 70.0), 800.0)]
ASKED = [Kernel("MatMul", 30.0), Kernel("Gelu", 5.0), Kernel("Tanh", 5.0)]


def test_a_belief_is_the_joint_normal_distribution_given_what_was_measured() -> None:
    beliefs = Beliefs()
    for kernel, price_us in HERE:
        beliefs.observe(str(kernel), kernel, price_us)
    found, expected = beliefs.about(ASKED), given_what_was_measured(ASKED, HERE, [])
    assert found.covariance == pytest.approx(expected.covariance)
    assert found.log_us == pytest.approx(expected.log_us)


@pytest.mark.parametrize("here", [[], HERE])
def test_prices_of_reference_tell_how_kernels_compare(here: list[tuple[Kernel, float]]) -> None:
    beliefs = Beliefs(THERE)
    ratios = [math.log(price_us / kernel.roofline_us) for kernel, price_us in THERE]
    within = matrix([kernel for kernel, _ in THERE]) - DEVICE_STD**2
    weights = np.linalg.solve(within, np.ones(len(THERE)))
    of_device = weights @ ratios / weights.sum()
    there = [(kernel, ratio - of_device) for (kernel, _), ratio in zip(THERE, ratios, strict=True)]
    for kernel, price_us in here:
        beliefs.observe(str(kernel), kernel, price_us)
    found, expected = beliefs.about(ASKED), given_what_was_measured(ASKED, here, there)
    assert found.covariance == pytest.approx(expected.covariance)
    assert found.log_us == pytest.approx(expected.log_us)


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_how_fast_the_device_of_reference_is_says_nothing(factor: float) -> None:
    first, other = Beliefs(THERE), Beliefs([(kernel, factor * price_us) for kernel, price_us in THERE])
    assert other.about(ASKED).log_us == pytest.approx(first.about(ASKED).log_us)
    assert other.about(ASKED).covariance == pytest.approx(first.about(ASKED).covariance)


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
