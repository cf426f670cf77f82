import os

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


@pytest.mark.parametrize("stage", ["supervised", "grpo"])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_run_keeps_what_xla_compiles_in_its_folder(monkeypatch, tmp_path, stage, compiled):
    monkeypatch.setenv("TF_XLA_FLAGS", "")  # so that it is as it was afterwards, whoever sets it
    monkeypatch.delenv("TF_XLA_FLAGS")
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", str(tmp_path))
    monkeypatch.setenv(f"LCR_SER_{stage.upper()}__JIT_COMPILE", str(compiled))
    monkeypatch.setattr(local_runner, "_reported", lambda settings, log_file: 0)
    settings = load("demo")
    assert not local_runner.run(settings)
    flags = os.environ.get("TF_XLA_FLAGS", "")
    assert (f"--tf_xla_persistent_cache_directory={settings.run_dir / 'xla_cache'}" in flags) is compiled
