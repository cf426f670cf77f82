"""The command `report`: what it writes, what it refuses, and that it is light."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from components.report.page.page import KEYS, render, render_html
from tests.support.run_figures import run_figures
from tfx_pipeline.commands.report import report


def _run(path):
    result = CliRunner().invoke(report, [str(path)])
    return result.exit_code, result.output


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(run_figures(), indent=2))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("", marks=pytest.mark.long), "run.json"])
def test_both_forms_of_the_page_are_written_beside_the_figures(run, name):
    code, output = _run(run / name)
    assert code == 0
    assert f"{run / 'run.html'}\n" in output and f"lcr-ser compare OTHER_RUN {run}\n" in output
    assert (run / "run.html").read_text(encoding="utf-8") == render_html(run_figures())
    assert (run / "run.md").read_text(encoding="utf-8") == render(run_figures())


def test_a_folder_without_figures_is_refused(tmp_path):
    code, output = _run(tmp_path)
    assert code == 1 and f"should be a folder with run.json, or that file. Received: {tmp_path}." in output
    assert not list(tmp_path.iterdir())


def test_figures_of_an_older_form_are_refused_with_what_they_lack(run):
    figures = run_figures()
    del figures["evaluation"], figures["gates"]
    (run / "run.json").write_text(json.dumps(figures))
    code, output = _run(run)
    assert code == 1 and "it has no evaluation, gates. Run the pipeline again." in output
    assert not (run / "run.html").exists()


def test_a_file_that_is_cut_off_is_refused(run):
    (run / "run.json").write_text('{"name": ')
    code, output = _run(run)
    assert code == 1 and "is not JSON" in output


def test_the_figures_that_tests_are_made_with_have_all_that_a_run_has():
    assert set(run_figures()) == set(KEYS)


@pytest.mark.slow
@pytest.mark.long
def test_it_loads_neither_tfx_nor_tensorflow(run):
    program = (
        f"import sys; sys.argv = ['lcr-ser', 'report', {str(run)!r}]\n"
        "from tfx_pipeline.cli import main\n"
        "try:\n    main()\nexcept SystemExit as error:\n    assert not error.code\n"
        "print([name for name in ('tfx', 'tensorflow', 'apache_beam') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"
