"""What all commands promise: text as it is, errors in one line, and a home that need not be there."""

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from components.common.run_files import FIGURES_FILE
from components.evaluation.request_ranks import RANKS_FILE
from components.pusher import local
from components.pusher.manifest import MANIFEST_FILE, Facts
from serving.client.answer import RankedCandidate, RankedCandidates
from tests.support.run_figures import run_figures
from tfx_pipeline import cli
from tfx_pipeline.cli import home_variables
from tfx_pipeline.commands.command import told
from tfx_pipeline.commands.compare import compare
from tfx_pipeline.commands.models import models
from tfx_pipeline.commands.report import report
from tfx_pipeline.commands.score import read_request, score
from tfx_pipeline.commands.simulate import simulate
from tfx_pipeline.commands.simulate_report import simulate_report
from tfx_pipeline.console.console import RunConsole
from tfx_pipeline.console.plain import plain_console
from tfx_pipeline.settings import REPOSITORY


def test_every_command_is_installed(tmp_path):
    """A command works from any folder, not from the repository alone."""
    look = "import importlib.util, sys; print([name for name in sys.argv[1:] if not importlib.util.find_spec(name)])"
    rooms = sorted({module.partition(".")[0] for module, _ in cli._OURS.values()} | {"benchmarks"})
    command = [sys.executable, "-c", look, *rooms]
    assert subprocess.check_output(command, cwd=tmp_path, text=True).strip() == "[]"


MARKUP = "/data/[v2]/[bold]x[/bold] :smile: [/] \\[y] " + "long/" * 40


def _run(command, *arguments):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def _error(command, *arguments):
    code, output = _run(command, *arguments)
    assert code == 1 and output.count("\n") == 1 and output.startswith("Error: "), output
    return output


def test_a_console_prints_text_as_it_is_and_whole():
    stream = io.StringIO()
    plain_console(file=stream).print(MARKUP, soft_wrap=True)
    console = RunConsole(stream)
    console.line(MARKUP)
    console.failed(ValueError(MARKUP), Path(MARKUP))
    assert stream.getvalue().splitlines() == [
        MARKUP,
        MARKUP,
        f"Error: {MARKUP.strip()}",
        f"full output     {Path(MARKUP)}",
    ]


def test_ids_in_a_ranking_are_printed_as_they_are(monkeypatch, tmp_path):
    request = {"user": "[u]:x:", "rec_items": ["[a]"], "searches": [{"words": ["w"]}], "candidates": ["[/b]"]}
    (tmp_path / "request.json").write_text(json.dumps(request))
    answer = RankedCandidates((RankedCandidate("[/b]", 1, 0.5),), version=7)
    monkeypatch.setattr("serving.dev_server.score.score_once", lambda *_, **__: answer)
    code, output = _run(score, "--request", tmp_path / "request.json")
    assert code == 0
    assert "user [u]:x:: 1 clicks" in output and " [/b] " in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "It is no JSON: "),
        ('{"user": ', "It is no JSON: "),
        ("[1]", "It should be a mapping. Received: [1]."),
        ('{"user": "u"}', "`candidates` should be given."),
        ('{"user": 7, "candidates": ["a"]}', "`user` should be a valid string"),
        ('{"user": "u", "candidates": "abc"}', "`candidates` should be"),
        ('{"user": "u", "candidates": []}', "expected at least one item to rank"),
        ('{"user": "u", "candidates": ["a"], "searches": [{"items": []}]}', "`searches.0.words` should be given."),
        ("\\xff", "It is no JSON: "),
    ],
)
def test_a_request_that_is_none_is_told_in_one_line(tmp_path, text, message):
    file = tmp_path / "request.json"
    file.write_bytes(b"\xff" if text == "\\xff" else text.encode())
    output = _error(score, "--request", file)
    assert f"{file} should be a JSON object with user, " in output and message in output


def test_a_request_may_leave_histories_out(tmp_path):
    (tmp_path / "request.json").write_text('{"user": "u", "candidates": ["a"], "clicked": "a"}')
    request, clicked = read_request(tmp_path / "request.json")
    assert (request.user, list(request.candidates), list(request.rec_items), clicked) == ("u", ["a"], [], "a")


@pytest.mark.parametrize("text", ["[]", "3", '{"name": ', "\x00"])
def test_broken_figures_are_told_in_one_line(tmp_path, text):
    (tmp_path / FIGURES_FILE).write_text(text)
    (tmp_path / RANKS_FILE).write_bytes(b"PAR1")
    for output in (_error(report, tmp_path), _error(compare, tmp_path, tmp_path)):
        assert str(tmp_path / FIGURES_FILE) in output and "Run the pipeline again." in output


def test_broken_ranks_are_told_in_one_line(tmp_path):
    (tmp_path / FIGURES_FILE).write_text(json.dumps(run_figures()))
    (tmp_path / RANKS_FILE).write_bytes(b"PAR1")
    assert f"{tmp_path / RANKS_FILE} is broken: " in _error(compare, tmp_path, tmp_path)


def test_a_page_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / FIGURES_FILE).write_text(json.dumps(run_figures()))
    (tmp_path / "run.html").mkdir()
    assert f"{tmp_path / 'run.html'}: Is a directory." in _error(report, tmp_path)


def test_a_broken_manifest_is_shown_beside_the_others(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_text("x")
    version = local.push(tmp_path / "model", tmp_path / "serving", Facts(), 5).version
    manifest = tmp_path / "serving" / str(version) / MANIFEST_FILE
    manifest.chmod(stat.S_IWUSR | stat.S_IRUSR)
    manifest.write_text('{"version": 1')
    code, output = _run(models, "--serving_dir", tmp_path / "serving")
    assert code == 0 and "broken manifest" in output
    code, output = _run(models, "--serving_dir", tmp_path / "serving", "--verify")
    assert code == 1 and f"{version}: {manifest} is no manifest of a pushed version: " in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--events", "inf"], "should be at least 1. Received: inf."),
        (["--events", "nan"], "Received: nan."),
        (["--events", "0"], "Received: 0."),
        (["--events", "1e3", "--set", "days=["], "Received: days=[."),
        (["--events", "1e3", "--set", "days=x"], "Error: `days` should be a valid integer"),
        (
            ["--events", "1e3", "--set", "rec_rows=.inf"],
            "`rec_rows` should be a finite number. Received: rec_rows = inf.",
        ),
    ],
)
def test_a_log_is_not_simulated_from_wrong_values(tmp_path, arguments, message):
    code, output = _run(simulate, tmp_path, *arguments)
    assert code and message in output and "Traceback" not in output


def test_a_log_is_not_simulated_where_a_file_stands(tmp_path):
    (tmp_path / "file").touch()
    log = tmp_path / "file" / "log"
    assert f"{log}: Not a directory." in _run(simulate, log, "--events", "1e3")[1]


@pytest.mark.parametrize("broken", ["", "a,b\n", "user_id,item_id,timestamp,click\n", b"\x1f\x8b\x08"])
def test_a_broken_log_is_reported_in_one_line(tmp_path, broken):
    assert _run(simulate, tmp_path / "log", "--events", "1e3", "--plain")[0] == 0
    path = tmp_path / "log" / "rec_inter.csv"
    path.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    if isinstance(broken, bytes):
        path.rename(path.with_suffix(".csv.gz"))
    assert f"{tmp_path / 'log'} should be a whole log in KuaiSAR's form" in _error(simulate_report, tmp_path / "log")


@pytest.mark.slow
def test_a_report_is_of_the_folder_that_is_named(tmp_path):
    folder = tmp_path / "log [v2]? *" / ("long" * 40)
    assert _run(simulate, folder, "--events", "2e3", "--plain")[0] == 0
    code, output = _run(simulate_report, folder)
    assert code == 0, output
    assert f"{folder}: " in output and f"plot: {folder / 'marginals.png'}\n" in output
    assert "should end in .png or .svg. Received: x.doc" in _run(simulate_report, folder, "--plot", "x.doc")[1]


def test_the_list_of_pipelines_lies_in_the_home(tmp_path):
    assert home_variables({"HOME": str(tmp_path)}) == {"HOME": str(tmp_path)}
    assert home_variables({"HOME": str(tmp_path / "not" / "yet")}) == {"HOME": str(tmp_path / "not" / "yet")}


@pytest.mark.parametrize("environment", [{}, {"HOME": ""}])
def test_without_a_home_it_is_that_of_the_system(monkeypatch, environment):
    import pwd

    monkeypatch.delenv("HOME", raising=False)
    assert home_variables(environment)["HOME"] == pwd.getpwuid(os.getuid()).pw_dir


def test_where_no_home_can_be_written_it_lies_beside_the_runs(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    home = str(tmp_path / "file" / "home")
    beside = {"LOCAL_HOME": str(REPOSITORY / "build" / "tfx"), "MPLCONFIGDIR": str(REPOSITORY / "build" / "matplotlib")}
    assert home_variables({"HOME": home}) == {"HOME": home, **beside}
    assert home_variables({"HOME": home, "LOCAL_HOME": "/mine"}) == {"HOME": home, **beside, "LOCAL_HOME": "/mine"}
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert home_variables({"HOME": str(tmp_path)}) == {"HOME": str(tmp_path), **beside}


LIST_COMMANDS = """
import sys
from tfx_pipeline.cli import main
sys.argv = ["lcr-ser", "--help"]
try:
    main()
finally:
    print(sorted({"tensorflow", "tfx", "polars", "matplotlib", "grpc"} & sys.modules.keys()))
"""


def test_the_list_of_commands_loads_none_of_them():
    output = subprocess.run([sys.executable, "-c", LIST_COMMANDS], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert output.splitlines()[-1] == "[]"


def test_every_command_of_the_list_is_there():
    group, context = cli.LazyGroup(), click.Context(click.Command("lcr-ser"))
    for name in cli._OURS:
        command = group.get_command(context, name)
        assert command.name == name
        assert command.help
    assert group.get_command(context, "nothing") is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            FileNotFoundError(2, "No such file", "/a/b"),
            "/a/b: No such file. Choose another path, or make this one readable and writable.",
        ),
        (
            OSError("The checkpoint /a could not be restored. Delete it."),
            "The checkpoint /a could not be restored. Delete it.",
        ),
    ],
)
def test_an_error_of_ours_about_a_file_says_itself_what_to_do(error, line):
    assert told(error) == line
