"""Batches drawn ahead are those that are drawn when they are asked for, and nothing is lost on the way."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from model.training.ahead import AHEAD, DrawnAhead, Step


def numbered(number):
    return (np.array([10 * number, 10 * number + 1], np.int32),)


def step_of(draw=lambda number, positions: (number, positions)):
    """A step that learns nothing and logs what was drawn."""
    return Step(draw, lambda drawn: {"number": drawn[0], "positions": drawn[1]})


def seen(logs):
    return int(logs["number"]), logs["positions"].numpy().tolist()


@pytest.mark.parametrize("steps", [range(7), [3, 4, 5], [0, 1, 9, 10, 2, 2]])
def test_every_step_learns_from_its_own_batch(steps):
    take = DrawnAhead(step_of(), numbered)
    assert [seen(take(number)) for number in steps] == [(number, [10 * number, 10 * number + 1]) for number in steps]


def test_the_next_batches_are_drawn_before_they_are_asked_for():
    drawn = {number: threading.Event() for number in range(3 + AHEAD + 1)}

    def draw(number, positions):
        drawn[int(number)].set()
        return number, positions

    take = DrawnAhead(step_of(draw), numbered)
    for number in range(3):
        take(number)
        assert drawn[number + AHEAD].wait(10)
        assert not drawn[number + AHEAD + 1].is_set()


def test_drawing_does_not_wait_for_the_step_before():
    learning, drawn = threading.Event(), threading.Event()

    def draw(number, positions):
        if int(number) == 1:
            assert learning.wait(10)  # of step 0
            drawn.set()
        return number, positions

    def learn(found):
        learning.set()
        assert drawn.wait(10), "batch 1 is drawn while step 0 is taken"
        return {"number": found[0], "positions": found[1]}

    take = DrawnAhead(Step(draw, learn), numbered)
    assert seen(take(0)) == (0, [0, 1])


def test_what_goes_wrong_in_a_draw_is_raised_by_its_step_and_by_no_other():
    def draw(number, positions):
        if int(number) == 2:
            raise FloatingPointError("batch 2")
        return number, positions

    take = DrawnAhead(step_of(draw), numbered)
    assert [seen(take(number))[0] for number in (0, 1)] == [0, 1]
    with pytest.raises(FloatingPointError, match="batch 2"):
        take(2)
    assert seen(take(3))[0] == 3


def test_both_halves_together_are_the_step():
    logs = step_of()(tf.constant(4, tf.int64), tf.constant([7, 8]))
    assert seen(logs) == (4, [7, 8])
