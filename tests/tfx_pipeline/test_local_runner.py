import pytest

from components.trainer import cards, placement
from tfx_pipeline import local_runner
from tfx_pipeline.settings import load


@pytest.mark.parametrize(
    ("profile", "count", "line"),
    [
        ("demo", 1, "the card; supervised and grpo on the CPU: work this small is done sooner there "
         "(distribution.device: auto)"),
        ("demo", 0, "the card"),
        ("own", 1, "the card"),
    ],
)  # fmt: skip
def test_a_run_tells_its_device_and_who_leaves_it(monkeypatch, profile, count, line):
    monkeypatch.setattr(cards, "found", lambda: "the card")
    monkeypatch.setattr(placement, "cards", lambda: count)
    assert local_runner._device(load(profile)) == line
