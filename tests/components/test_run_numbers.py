"""How numbers are written on a run page."""

import pytest

from components.report.page import numbers


@pytest.mark.parametrize(
    "value, text",
    [
        (0.01234, "+0.0123"),
        (-0.01236, "−0.0124"),
        (0.0, "0.0000"),
        (-0.00004, "0.0000"),
        (0.00004, "0.0000"),
        (None, "–"),
    ],
)
def test_a_difference_has_a_sign_unless_it_rounds_to_nothing(value, text):
    assert numbers.signed(value) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 0 s"),
        (61, "1 min 1 s"),
        (119.6, "2 min 0 s"),
        (3600, "1 h 0 min"),
        (3900, "1 h 5 min"),
    ],
)
def test_a_duration_reads_like_a_clock(seconds, text):
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize("value, text", [(0.0004, "p < 0.001"), (0.002, "p = 0.002"), (1.0, "p = 1.000"), (None, "–")])
def test_a_small_p_value_is_not_rounded_to_nothing(value, text):
    assert numbers.p_value(value) == text.replace(" ", "\N{NO-BREAK SPACE}")


def test_a_slice_without_requests_has_a_dash():
    nothing = {"value": None, "low": None, "high": None}
    assert numbers.interval(nothing) == numbers.signed_interval(nothing) == numbers.fixed(None) == "–"


@pytest.mark.parametrize("value, text", [("a b", "a b"), ([1, 5], "[1, 5]"), (None, "null"), ({"查": 1}, '{"查": 1}')])
def test_settings_are_written_as_json_without_quotes_around_strings(value, text):
    assert numbers.setting(value) == text
