"""The commands `simulate` and `simulate-report`: what they write, print and refuse, and that they load no TFX."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tfx_pipeline.commands.simulate import simulate
from tfx_pipeline.commands.simulate_report import simulate_report


def test_a_log_and_its_report(tmp_path):
    log = tmp_path / "log"
    written = CliRunner().invoke(
        simulate,
        [
            str(log),
            "--events",
            "5e3",
            "--seed",
            "7",
            "--plain",
            "--set",
            "word_shares=[0.0, 1.0]",
            "--set",
            "clicked=1",
        ],
    )
    assert written.exit_code == 0, written.output
    assert "recommended" in written.output and "events a second" in written.output
    report = CliRunner().invoke(simulate_report, [str(log)])
    assert report.exit_code == 0, report.output
    row = next(line for line in report.output.splitlines() if "R rows without a click" in line)
    assert [cell.strip() for cell in row.split("│")][1:4] == ["R rows without a click", "0.5", "0"]
    assert (log / "marginals.png").exists()


def test_days_by_a_flag(tmp_path):
    assert CliRunner().invoke(simulate, [str(tmp_path), "--events", "3e3", "--spans"]).exit_code == 0
    assert (tmp_path / "2023-05-22" / "src_inter.csv.gz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "nothing=1"], "should be NAME=VALUE"),
        (["--set", "clicked"], "should be NAME=VALUE"),
        (["--set", "clicked=2"], "`clicked` should be from 0 to 1"),
        (["--set", "clicked=often"], "clicked"),
    ],
)
def test_settings_that_are_none_are_refused(tmp_path, arguments, message):
    result = CliRunner().invoke(simulate, [str(tmp_path), "--events", "1e3", *arguments])
    assert result.exit_code != 0 and message in result.output and "Traceback" not in result.output


def test_a_directory_with_a_log_is_refused(tmp_path):
    (tmp_path / "rec_inter.csv").write_text("precious")
    result = CliRunner().invoke(simulate, [str(tmp_path), "--events", "1e3"])
    assert result.exit_code == 1 and "should hold no log" in result.output


def test_the_command_line_simulates_without_loading_tensorflow(tmp_path):
    script = (
        "import sys; from tfx_pipeline.cli import main; sys.argv = ['lcr-ser', 'simulate', sys.argv[1], "
        "'--events', '1e3']\ntry: main()\nexcept SystemExit as end: print(end.code, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
