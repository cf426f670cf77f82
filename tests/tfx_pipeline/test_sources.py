"""Broken settings: one line that names the place, the value and what to do."""

import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tfx_pipeline import local_runner
from tfx_pipeline.commands.models import models, rollback
from tfx_pipeline.commands.score import score
from tfx_pipeline.settings import DEFAULT_FILE, load
from tfx_pipeline.sources import SettingsError

DEFAULTS = yaml.safe_load(DEFAULT_FILE.read_text())["defaults"]


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch):
    for name in [name for name in os.environ if name.startswith("LCR_SER_")]:
        monkeypatch.delenv(name)


def _error(profile=None):
    with pytest.raises(SettingsError) as raised:
        load(profile)
    message = str(raised.value)
    assert message == message.strip() and "\n" not in message
    return message


@pytest.fixture
def settings_file(tmp_path, monkeypatch):
    """Writes a settings file and makes it the one that is read."""
    path = tmp_path / "settings.yaml"
    monkeypatch.setenv("LCR_SER_SETTINGS", str(path))

    def write(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def _with_profile(text):
    """The defaults of the project on one line, and a profile `demo` from line 3 on."""
    return f"defaults: {yaml.safe_dump(DEFAULTS, default_flow_style=True, width=10**6)}profiles:\n  demo:{text}\n"


@pytest.mark.parametrize(
    ("content", "place", "rest"),
    [
        (
            "defaults:\n\tname: x\n",
            ", line 2: found character '\\t'",
            "Received: '\\tname: x'. Use blanks instead of tabs.",
        ),
        ("defaults: {a: [1, 2}\n", ", line 1: ", "Received: 'defaults: {a: [1, 2}'. Mend the YAML there."),
        ("defaults: !x {}\n", ", line 1: could not determine a constructor for the tag '!x'", "Mend the YAML there."),
        ("a: \0b", " is no YAML: unacceptable character #x0000", "Mend it."),
        (
            "",
            " should hold `defaults` and `profiles`.",
            "Received: an empty file. Set LCR_SER_SETTINGS to a settings file",
        ),
        ("# nothing\n", " should hold `defaults` and `profiles`.", "Received: an empty file."),
        ("- a\n", " should hold `defaults` and `profiles`.", "Received: ['a']."),
        ("defaults: {}\n", " should hold `profiles`, a mapping.", "Received: None."),
        ("defaults: {}\nprofiles:\n", ", line 2 should hold `profiles`, a mapping.", "Received: None."),
        ("profiles: {demo: {}}\n", " should hold `defaults`, a mapping.", "Received: None."),
        ("defaults: {}\nprofiles: {}\nprofile: {}\n", ", line 3 should hold", "Received: profile."),
        (
            "defaults: {}\nprofiles:\n  demo: {}\n  demo: {}\n",
            ", line 3: `profiles.demo` stands there 2 times.",
            "Keep one of them.",
        ),
    ],
)
def test_a_file_of_another_form_is_named_with_its_line(settings_file, content, place, rest):
    path = settings_file(content)
    message = _error()
    assert message.startswith(f"{path}{place}")
    assert rest in message


def test_a_file_that_is_no_text_is_named(settings_file):
    path = settings_file(b"\xff\xfe\x00")
    assert _error().startswith(f"The settings file should be YAML in UTF-8. Received: {path}: 'utf-8' codec")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere.yaml", "No such file or directory"), ("", "Is a directory"), ("file/x.yaml", "Not a directory")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, name, reason):
    (tmp_path / "file").touch()
    path = os.path.join(tmp_path, name)
    monkeypatch.setenv("LCR_SER_SETTINGS", path)
    assert _error() == (
        f"The settings file should be one that can be read. Received: {path!r}: {reason}. "
        "Set LCR_SER_SETTINGS to a settings file, or unset it for the one of this project."
    )


def test_an_empty_name_of_the_file_is_named(monkeypatch):
    monkeypatch.setenv("LCR_SER_SETTINGS", "")
    assert "Received: '': No such file" in _error()


def test_a_json_file_is_yaml_too(settings_file):
    import json

    settings_file(json.dumps({"defaults": DEFAULTS, "profiles": {"demo": {"name": "from_json"}}}, indent=1))
    assert load().name == "from_json"


def test_times_need_no_quotes(settings_file):
    settings_file(_with_profile(" {logs: {split: time_points, eval_from: 2024-05-01, test_from: 2024-05-02 10:00:00}}"))
    chosen = load().logs
    assert (chosen.eval_from, chosen.test_from) == ("2024-05-01", "2024-05-02 10:00:00")


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("", "The profile `demo` should hold settings. Received: None. Write `demo: {}`"),
        (" 3", "The profile `demo` should hold settings. Received: 3."),
    ],
)
def test_an_empty_profile_is_named(settings_file, profile, message):
    path = settings_file(_with_profile(profile))
    assert _error().startswith(message) and f"Set in {path}, line 3." in _error()


def test_a_profile_that_is_not_in_the_file_is_named(settings_file, monkeypatch):
    path = settings_file("defaults: {}\nprofiles: {mine: {}, 2024: {}}\n")
    assert _error() == (
        f"`profile` should be one of mine, 2024 of {path}. Received: 'demo'. Set LCR_SER_PROFILE to one of them."
    )
    monkeypatch.setenv("LCR_SER_PROFILE", "")
    assert "Received: ''." in _error()


def test_all_that_is_missing_is_named_at_once(settings_file):
    path = settings_file("defaults: {name: x, log_dir: null}\nprofiles: {demo: {}}\n")
    message = _error()
    assert message.startswith("`vocabulary`, `model`, `logs`, `data_check`, ")
    assert f"should be given, in {path} or by variables such as LCR_SER_VOCABULARY." in message


@pytest.mark.parametrize(
    ("profile", "messages"),
    [
        ("\n    model: {dim: wide}", ["`model.dim` should be a valid integer", "Received: 'wide'. Set in {}, line 4."]),
        (
            "\n    name: 2024\n    evaluation:\n      min_ndcg_5: [1]",
            [
                "`name` should be a valid string, in quotes. Received: 2024. Set in {}, line 4.",
                "`evaluation.min_ndcg_5` should be a valid number. Received: [1]. Set in {}, line 6.",
            ],
        ),
        ("\n    model:", ["`model` should be a mapping. Received: None. Set in {}, line 4."]),
        (
            "\n    model: {reasoning_steps: yes}",
            ["`model.reasoning_steps` should be no truth value. Received: True. Set in {}, line 4."],
        ),
        (
            "\n    evaluation:\n      thresholds: {all: {MRR: {min: on}}}",
            ["`evaluation.thresholds.all.MRR.min` should be no truth value. Received: True. Set in {}, line 5."],
        ),
        (
            "\n    modle: {dim: 3}",
            [
                "Settings should be some of name, output_dir, ",
                "Received: modle. Did you mean model?",
                "Set in {}, line 4.",
            ],
        ),
        (
            "\n    grpo:\n      polcy: x",
            ["Settings of GrpoConfig should be fields of it. Received: polcy. Did you mean policy? Set in {}, line 5."],
        ),
        (
            "\n    push: {keep_version: 3}",
            ["Settings of Push should be fields of it. Received: keep_version.", "line 4."],
        ),
        ("\n    model: {1: 2}", ["Settings of LcrSerConfig should be fields of it. Received: 1. Set in {}, line 4."]),
        (
            "\n    model:\n      num_heads: 2\n      dim: 31",
            ["`num_heads` should divide `dim`. Received: 2 and 31. Set in {}, line 5 and {}, line 6."],
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_line(settings_file, profile, messages):
    path = settings_file(_with_profile(profile))
    found = _error()
    for message in messages:
        assert message.replace("{}", str(path)) in found


def test_the_place_is_that_of_the_value_that_counts(settings_file, monkeypatch):
    path = settings_file(_with_profile("\n    model: {dim: 0}"))
    assert _error().endswith(f"Set in {path}, line 4.")
    monkeypatch.setenv("LCR_SER_MODEL__DIM", "-1")
    assert _error().endswith("Received: -1. Set in LCR_SER_MODEL__DIM.")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LOG_DIR", "", "`log_dir` should be the directory of a log; unset it"),
        ("LOG_DIR", " ", "`log_dir` should be the directory of a log; unset it"),
        ("OUTPUT_DIR", "", "`output_dir` should be a folder of this machine. Received: ''."),
        ("OUTPUT_DIR", "gs://bucket/x", "`output_dir` should be a folder of this machine. Received: 'gs://bucket/x'."),
        ("OUTPUT_DIR", "/tmp/out[v2]", "Received: '/tmp/out[v2]'. Set LCR_SER_OUTPUT_DIR to another folder."),
        ("OUTPUT_DIR", "/tmp/what?", "`output_dir` should be a path without *, ?, [ and \\"),
        *(
            (
                "NAME",
                name,
                f"`name` should be the name of a folder below `output_dir`, without /, *, ?, [ and \\. "
                f"Received: {name!r}. Set in LCR_SER_NAME.",
            )
            for name in ("", " ", ".", "..", "../x", "a/b", "/x", "a\nb", "a[1]")
        ),
        ("NAME", "demo_log", "`name` should name another folder below `output_dir` than that of the log."),
        ("LOGS__COLUMNS", "{user_id: uid", "LCR_SER_LOGS__COLUMNS should hold a list or a mapping, as JSON or YAML"),
        ("EVALUATION__KS", "[1, 5", "Received: '[1, 5'. Close its brackets and quotes."),
        ("MODEL__DIM", "", "`model.dim` should be a valid integer"),
        ("MODEL__DIM__X", "1", "Received: {'x': '1'}. Set in LCR_SER_MODEL__DIM__X."),
        ("MODEL", "3", "`model` should be a mapping. Received: '3'. Set in LCR_SER_MODEL."),
        ("PUSH", "3", "`push` should be a mapping. Received: '3'. Set in LCR_SER_PUSH."),
        ("LOGS", "[1]", "`logs` should be a mapping. Received: [1]. Set in LCR_SER_LOGS."),
        ("MODEL__DIMM", "3", "Received: dimm. Did you mean dim? Set in LCR_SER_MODEL__DIMM."),
        ("EVALUATION__MIN_NDGC_5", "0", "Received: min_ndgc_5. Did you mean min_ndcg_5? Set in"),
        ("MODL__DIM", "3", "Received: LCR_SER_MODL__DIM. Did you mean model?"),
        ("NAME__X", "3", "`name` should be a valid string"),
        ("WARM_START", "maybe", "`warm_start` should be a valid boolean"),
        ("INFRA_VALIDATION__TAGS", '["1"]', "`infra_validation.platform` should be given"),
        ("LOGS__LOG_DIR", "/x", "`logs.log_dir` should not be set, it follows `log_dir`."),
        ("LOGS__REC_LENGTH", "3", "`logs.rec_length` should not be set, it follows `model.rec_length`."),
        ("MODEL__NUM_ITEMS", "3", "`model.num_items` should not be set, it follows `vocabulary.max_items`."),
    ],
    ids=str,
)
def test_a_wrong_variable_is_named(monkeypatch, name, value, message):
    monkeypatch.setenv(f"LCR_SER_{name}", value)
    found = _error()
    assert message in found and f"LCR_SER_{name.split('__')[0]}" in found.replace("LCR_SER_...", "")


@pytest.mark.parametrize(
    ("name", "value", "section", "field", "expected"),
    [
        ("LOGS__COLUMNS", "{user_id: uid}", "logs", "columns", {"user_id": "uid"}),
        ("LOGS__COLUMNS", '{"user_id":\t"uid"}', "logs", "columns", {"user_id": "uid"}),
        ("LOGS__COLUMNS__USER_ID", "uid", "logs", "columns", {"user_id": "uid"}),
        ("EVALUATION__KS", "[1, 5, 20]", "evaluation", "ks", (1, 5, 20)),
        ("GRPO__REWARD", "{NDCG@5: 1e-1}", "grpo", "reward", {"NDCG@5": 0.1}),
        ("GRPO", '{"reward": {"HR@1": 2}, "policy": "sigmoid"}', "grpo", "policy", "sigmoid"),
    ],
)
def test_json_is_read_where_yaml_is_and_yaml_where_json_is(monkeypatch, name, value, section, field, expected):
    monkeypatch.setenv("LCR_SER_LOGS__SOURCE", "events")
    monkeypatch.setenv(f"LCR_SER_{name}", value)
    settings = load()
    assert getattr(getattr(settings, section), field) == expected


def test_a_path_may_begin_like_a_list(monkeypatch):
    monkeypatch.setenv("LCR_SER_LOG_DIR", "/data/[v2] log")
    monkeypatch.setenv("LCR_SER_LOGS__CANDIDATES_FILE", "[a].parquet")
    settings = load()
    assert settings.log_path == "/data/[v2] log"
    assert settings.logs.candidates_file == "[a].parquet"


def test_a_relative_output_folder_is_that_of_where_the_command_was_given(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", "runs")
    settings = load()
    monkeypatch.chdir("/")
    assert settings.run_dir == tmp_path / "runs" / "lcr_ser_demo"


@pytest.mark.parametrize("command", [models, rollback, score], ids=lambda command: command.name)
def test_every_command_that_reads_settings_tells_of_them_in_one_line(monkeypatch, command):
    monkeypatch.setenv("LCR_SER_MODEL__DIM", "0")
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 1
    assert result.output == "Error: `dim` should be at least 1. Received: 0. Set in LCR_SER_MODEL__DIM.\n"


def test_the_runner_tells_of_them_in_one_line(monkeypatch):
    monkeypatch.setenv("LCR_SER_NAME", "..")
    with pytest.raises(SystemExit) as raised:
        local_runner.main()
    assert str(raised.value).startswith("Error: `name` should be the name of a folder")


def test_an_output_folder_that_cannot_be_made_is_named(monkeypatch, tmp_path):
    Path(tmp_path, "file").touch()
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", str(tmp_path / "file"))
    with pytest.raises(SystemExit) as raised:
        local_runner.main()
    assert raised.value.code == (
        f"Error: `output_dir` should be a folder that can be written. Received: {tmp_path}/file/lcr_ser_demo/logs: "
        "Not a directory. Set LCR_SER_OUTPUT_DIR to another one."
    )
