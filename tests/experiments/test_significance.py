"""The paired test over users and seeds: what it finds where there is nothing, and where there is something."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.significance import difference, holm


def values(rng, gain=0.0, seeds=5, users=300, of_seeds=0.02, hard=None):
    """A metric of requests that have a difficulty of their own, of runs that have luck of their own."""
    hard = rng.normal(size=users) if hard is None else hard
    luck = rng.normal(0, of_seeds, (seeds, 1))
    return 0.3 + gain + 0.3 * hard + luck + rng.normal(0, 0.2, (seeds, users))


@pytest.mark.slow
@pytest.mark.parametrize(
    "of_seeds", [pytest.param(0.0, marks=pytest.mark.long), pytest.param(0.02, marks=pytest.mark.long), 0.2]
)
def test_a_system_against_itself_is_better_in_one_of_twenty_at_the_most(of_seeds):
    rng = np.random.default_rng(0)
    found = 0
    repetitions = 300
    for number in range(repetitions):
        hard = rng.normal(size=300)
        one, other = (values(rng, of_seeds=of_seeds, hard=hard) for _ in range(2))
        found += difference(one, other, np.arange(300), resamples=300, seed=number).p_value < 0.05
    # Of 300 draws with a probability of .05, 24 or more occur once in thirty times.
    assert found < 24


def test_a_difference_is_found_and_has_the_error_of_its_two_factors():
    rng = np.random.default_rng(1)
    users, hard = 400, rng.normal(size=400)
    one, other = values(rng, gain=0.1, users=users, hard=hard), values(rng, users=users, hard=hard)
    found = difference(one, other, np.arange(users), resamples=4000)
    assert found.value == pytest.approx(one.mean() - other.mean())
    assert found.p_value < 0.01
    # The variance of a mean over two crossed factors, by the means of rows and columns.
    by_seeds = sum(side.mean(1).var(ddof=1) / 5 for side in (one, other))
    by_users = (one.mean(0) - other.mean(0)).var(ddof=1) / users
    assert found.error == pytest.approx((by_seeds + by_users) ** 0.5, rel=0.1)


def test_requests_of_one_user_are_drawn_together():
    rng = np.random.default_rng(2)
    one, other = values(rng, users=60), values(rng, users=60)
    repeated = [np.repeat(side, 10, axis=1) for side in (one, other)]
    alone = difference(one, other, np.arange(60), resamples=4000)
    together = difference(*repeated, np.repeat(np.arange(60), 10), resamples=4000)
    assert together.error == pytest.approx(alone.error, rel=0.1)
    apart = difference(*repeated, np.arange(600), resamples=4000)
    assert apart.error < 0.9 * alone.error


def test_equal_systems_differ_by_nothing():
    one = np.ones((3, 20))
    assert difference(one, one, np.arange(20)) == (0.0, 0.0, 1.0)


def test_one_seed_says_nothing():
    with pytest.raises(ValueError, match="at least 2 seeds. Received: 1 and 3."):
        difference(np.ones((1, 5)), np.ones((3, 5)), np.arange(5))


def test_holm_by_hand():
    # Sorted .01, .02, .03, .5, times 4, 3, 2, 1, and never below one before it.
    found = holm({"a": 0.03, "b": 0.01, "c": 0.5, "d": 0.02})
    assert found == pytest.approx({"a": 0.06, "b": 0.04, "c": 0.5, "d": 0.06})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_nothing_and_bonferroni(p_values):
    found = list(holm({str(place): p for place, p in enumerate(p_values)}).values())
    for p, corrected in zip(p_values, found, strict=True):
        assert p <= corrected <= min(1.0, len(p_values) * p) or corrected == pytest.approx(p)
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(found)[order]) >= 0).all()
