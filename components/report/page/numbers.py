"""How numbers are written on a run page, in HTML and Markdown alike."""

import json
from collections.abc import Mapping
from typing import Any

_NONE = "–"


def fixed(value: float | None, digits: int = 4) -> str:
    """`0.4978`; a dash for None."""
    return _NONE if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """`+0.0123` or `−0.0123`, with the minus sign of print, and `0.0000` of what rounds to it."""
    if value is None:
        return _NONE
    return f"{value:+.{digits}f}".replace("-", "−") if round(value, digits) else fixed(0.0, digits)


def interval(estimate: Mapping[str, Any]) -> str:
    """`0.4780–0.5170`, the interval of a mean; a dash where there is no request."""
    return _NONE if estimate["low"] is None else f"{fixed(estimate['low'])}–{fixed(estimate['high'])}"


def signed_interval(estimate: Mapping[str, Any]) -> str:
    """`−0.0040 to +0.0210`, the interval of a difference; a dash where there is no request."""
    return _NONE if estimate["low"] is None else f"{signed(estimate['low'])} to {signed(estimate['high'])}"


def p_value(value: float | None) -> str:
    """`p = 0.002`, on one line; a dash for None."""
    if value is None:
        return _NONE
    return ("p < 0.001" if value < 0.001 else f"p = {value:.3f}").replace(" ", "\N{NO-BREAK SPACE}")


def percent(share: float) -> str:
    """`41.2 %` of a share of 0.412."""
    return f"{100 * share:.1f} %"


def count(number: float | None) -> str:
    """`50,769`; a dash for None."""
    return _NONE if number is None else f"{number:,.0f}"


def megabytes(size: float) -> str:
    """`1.7 MB` of a number of bytes, by millions."""
    return f"{size / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    """`12.3 s`, `3 min 25 s` or `1 h 5 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def setting(value: Any) -> str:
    """A setting as JSON writes it, strings without their quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def step_name(step: int) -> str:
    """Heading of a reasoning step."""
    return f"step {step}"


FILTERS = {"quoted": repr} | {
    function.__name__: function
    for function in (
        fixed,
        signed,
        interval,
        signed_interval,
        p_value,
        percent,
        count,
        megabytes,
        duration,
        setting,
        step_name,
    )
}
"""For templates, by name."""
