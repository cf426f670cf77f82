"""What `lcr-ser experiment` refuses, in one line, before anything is trained."""

import pytest
from click.testing import CliRunner

from benchmarks import last_run
from components.trainer import placement
from experiments.command import experiment


@pytest.fixture
def called(tmp_path, monkeypatch):
    monkeypatch.setattr(last_run, "quiet", lambda threads: None)
    monkeypatch.setattr(placement, "cards", lambda: 0)
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", str(tmp_path))

    def call(*arguments):
        result = CliRunner().invoke(experiment, arguments)
        assert result.exit_code == 1
        return result.output.splitlines()

    return call


def test_a_card_that_is_asked_for_and_not_there(called, monkeypatch):
    monkeypatch.setenv("LCR_SER_DISTRIBUTION__DEVICE", "gpu")
    device, error = called("fig4")
    assert device.startswith("device  ")
    assert error.startswith("Error: `distribution.device` should be auto or cpu")


def test_systems_that_the_experiment_does_not_have(called):
    [error] = called("fig5", "--systems", "With TCL,Both,None")
    assert error == "Error: --systems should name some of With TCL, Without TCL. Received: Both, None."


def test_an_experiment_that_there_is_not(called):
    [error] = called("table9")
    assert error.startswith("Error: An experiment should be one of controls, ")
