"""Settings: profiles over defaults, the environment over both."""

import dataclasses

import pytest
from pydantic import ValidationError

from tfx_pipeline.settings import DEFAULT_FILE, load


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("LCR_SER_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("profile", ["demo", "own", "kuaisar", "qilin"])
def test_every_profile_is_valid(profile):
    settings = load(profile)
    assert settings.logs.num_negatives == 99
    assert settings.supervised.num_negatives == 4


def test_a_profile_lies_over_the_defaults():
    demo, own = load("demo").model, load("own").model
    assert (demo.dim, own.dim) == (32, 64)
    assert demo.num_heads == own.num_heads == 2


def test_the_environment_lies_over_the_profile(monkeypatch):
    before = load("demo").model
    monkeypatch.setenv("LCR_SER_MODEL__DIM", "16")
    monkeypatch.setenv("LCR_SER_LOGS__SPLIT", "time")
    monkeypatch.setenv("LCR_SER_EVALUATION__MIN_NDCG_5", "0.5")
    monkeypatch.setenv("LCR_SER_VOCABULARY__MAX_ITEMS", "null")
    settings = load("demo")
    assert settings.vocabulary.max_items is None
    assert settings.model == dataclasses.replace(before, dim=16)
    assert settings.logs.split == "time"
    assert settings.evaluation.min_ndcg_5 == 0.5


def test_what_is_loaded_stays_as_it_is():
    settings = load("demo")
    for part, name in [
        (settings, "name"),
        (settings.vocabulary, "items"),
        (settings.evaluation, "ks"),
        (settings.push, "keep_versions"),
    ]:
        with pytest.raises(ValidationError, match="Instance is frozen"):
            setattr(part, name, None)
    for part in (settings.logs, settings.model, settings.supervised, settings.grpo, settings.evaluation.ranking_check):
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.seed = 1


def test_all_that_is_wrong_is_told_at_once_and_what_follows_from_it_is_not(monkeypatch):
    for name in ("MODEL__REC_LENGTH", "PUSH__KEEP_VERSIONS", "LOGS__NUM_NEGATIVES"):
        monkeypatch.setenv(f"LCR_SER_{name}", "0")
    with pytest.raises(ValueError) as raised:
        load()
    assert str(raised.value) == (
        "`rec_length` should be at least 1. Received: 0. Set in LCR_SER_MODEL__REC_LENGTH. "
        "`num_negatives` should be at least 1. Received: num_negatives = 0. Set in LCR_SER_LOGS__NUM_NEGATIVES. "
        "`push.keep_versions` should be greater than 0. Received: '0'. Set in LCR_SER_PUSH__KEEP_VERSIONS."
    )


def test_a_log_directory_of_ones_own_leaves_the_demo(monkeypatch, tmp_path):
    assert load().demo
    monkeypatch.setenv("LCR_SER_LOG_DIR", str(tmp_path))
    settings = load()
    assert not settings.demo
    assert settings.log_path == str(tmp_path)
    assert settings.name == "lcr_ser"


def test_a_log_that_the_file_names_leaves_the_demo_too(monkeypatch, tmp_path):
    text = DEFAULT_FILE.read_text()
    assert text.count("  log_dir: null") == 1
    own = tmp_path / "settings.yaml"
    own.write_text(text.replace("  log_dir: null", "  log_dir: gs://bucket/log"))
    monkeypatch.setenv("LCR_SER_SETTINGS", str(own))
    settings = load()
    assert (settings.log_path, settings.name) == ("gs://bucket/log", "lcr_ser")
    monkeypatch.setenv("LCR_SER_PROFILE", "demo")
    assert load().name == "lcr_ser_demo"


def test_a_uri_stays_one(monkeypatch):
    monkeypatch.setenv("LCR_SER_LOG_DIR", "gs://bucket/log")
    assert load().logs.log_dir == "gs://bucket/log"


def test_requests_are_stored_as_long_as_the_model_looks_back(monkeypatch):
    monkeypatch.setenv("LCR_SER_MODEL__REC_LENGTH", "7")
    assert load("demo").logs.rec_length == 7


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LCR_SER_PROFILE", "nope", "`profile` should be one of demo, own, kuaisar, qilin"),
        ("LCR_SER_MODEL__DIM", "0", "`dim` should be at least 1. Received: 0"),
        ("LCR_SER_SERVABLE_CHECK__TOLERANCE", "0", "`servable_check.tolerance` should be above 0"),
        ("LCR_SER_SERVABLE_CHECK__SPEED", "1", "ServableCheckSettings should be fields of it. Received: speed"),
        ("LCR_SER_DISTRIBUTION__STRATEGY", "ps", "distribution.strategy"),
        ("LCR_SER_DISTRIBUTION__DEVICE", "tpu", "distribution.device"),
        ("LCR_SER_DISTRIBUTION__WAIT_SECONDS", "0", "`distribution.wait_seconds` should be at least 1. Received: 0."),
        ("LCR_SER_MODEL__WIDTH", "3", "width"),
        ("LCR_SER_MODL__DIM", "3", "Received: LCR_SER_MODL__DIM"),
        ("LCR_SER_GRPO__POLICY", "greedy", "policy"),
        ("LCR_SER_LOGS__SPLIT", "random", "split"),
        ("LCR_SER_SUPERVISED__BATCH_SIZE", "many", "batch_size"),
        ("LCR_SER_VOCABULARY__ITEMS", "md5", "vocabulary.items"),
        ("LCR_SER_VOCABULARY__MAX_WORDS", "0", "vocabulary.max_words"),
        ("LCR_SER_EVALUATION__KS", "[1, 10]", "`evaluation.ks` should hold 5"),
        ("LCR_SER_EVALUATION__KS", "[5, 5]", "`evaluation.ks` should hold 5"),
        ("LCR_SER_EVALUATION__KS", "[0, 5]", "evaluation.ks"),
        (
            "LCR_SER_EVALUATION__THRESHOLDS",
            '{"everywhere": {"HR@1": {"min": 0.1}}}',
            "should name slices: all, searches",
        ),
        (
            "LCR_SER_EVALUATION__THRESHOLDS",
            '{"all": {"HR@3": {"min": 0.1}}}',
            "that are measured: HR@1, .* Received: HR@3",
        ),
        ("LCR_SER_EVALUATION__THRESHOLDS", '{"all": {"HR@1": {"mini": 0.1}}}', "Received: mini of HR@1 of all"),
        (
            "LCR_SER_EVALUATION__THRESHOLDS",
            '{"all": {"HR@1": {"significance": 2}}}',
            "`significance` should lie between",
        ),
        (
            "LCR_SER_EVALUATION__FULL_CATALOGUE_REQUESTS",
            "-1",
            "`evaluation.full_catalogue_requests` should be at least 0",
        ),
        ("LCR_SER_DATA_CHECK__MAX_BAD_SHARE", "2", "`data_check.max_bad_share` should be from 0 to 1"),
        ("LCR_SER_INFRA_VALIDATION__PLATFORM", "podman", "infra_validation.platform"),
        ("LCR_SER_PUSH__KEEP_VERSIONS", "0", "push.keep_versions"),
        ("LCR_SER_LOGS__SPLIT", "time_points", "`eval_from` should be an ISO 8601 time .* Received: ''"),
        ("LCR_SER_LOGS__EVAL_FROM", "2024-05-01", "`eval_from` should be empty, unless `split` is time_points; it is "),
        ("LCR_SER_LOGS__COLUMNS", "{user_id: uid}", "`columns` should be empty where `source` is not events"),
        ("LCR_SER_LOGS__EVAL_SHARE", "0.95", "`eval_share . test_share` should be less than 1"),
        ("LCR_SER_LOGS__TEST_DAYS", "inf", "`test_days` should be above 0"),
        ("LCR_SER_MODEL__NUM_HEADS", "5", "`num_heads` should divide `dim`. Received: 5 and 32"),
        ("LCR_SER_MODEL__DROPOUT", "1", "`dropout` should be below 1. Received: 1.0"),
        ("LCR_SER_MODEL__DROPOUT", "nan", "`dropout` should be at least 0. Received: nan"),
        ("LCR_SER_MODEL__MLP_UNITS", "[16, 0]", "`mlp_units` should be widths of at least 1. Received: .16, 0."),
        ("LCR_SER_SUPERVISED__LEARNING_RATE", "nan", "`learning_rate` should be at least 0. Received: nan"),
        ("LCR_SER_SUPERVISED__SEED", "-1", "`seed` should be at least 0. Received: -1"),
        ("LCR_SER_GRPO__SEED", "4294967296", "`seed` should be below 2.32. Received: 4294967296"),
        ("LCR_SER_GRPO__TEMPERATURE", "nan", "`temperature` should be above 0. Received: nan"),
        ("LCR_SER_GRPO__REWARD", "{HR@100: 1}", "`reward` should give a weight other than 0 to a metric"),
        ("LCR_SER_GRPO__REWARD", "{NDCG@5: 0}", "`reward` should give a weight other than 0 to a metric"),
        ("LCR_SER_GRPO__REWARD", "{NDCG@5: .nan}", "`reward` should give a weight other than 0 to a metric"),
        ("LCR_SER_EVALUATION__MIN_NDCG_5", "1.5", "`evaluation.min_ndcg_5` should be less than or equal to 1"),
        ("LCR_SER_EVALUATION__MIN_NDCG_5", "nan", "`evaluation.min_ndcg_5` should be"),
        (
            "LCR_SER_EVALUATION__MAX_NDCG_5_DROP",
            "-1",
            "`evaluation.max_ndcg_5_drop` should be greater than or equal to 0",
        ),
        ("LCR_SER_EVALUATION__THRESHOLDS", "{all: {MRR: {min: 5}}}", "of MRR of all: `min` should be from 0 to 1"),
        ("LCR_SER_EVALUATION__THRESHOLDS", "{all: {MRR: {max_drop: .nan}}}", "`max_drop` should be from 0 to 1"),
        ("LCR_SER_DATA_CHECK__DRIFT", "{user: {norm: 1}}", "should measure user by infinity_norm or jensen_shannon"),
        ("LCR_SER_SERVABLE_CHECK__MAX_LOAD_SECONDS", "inf", "`servable_check.max_load_seconds` should be above 0"),
        (
            "LCR_SER_INFRA_VALIDATION",
            "{platform: docker, tags: []}",
            "`infra_validation.tags` should have at least 1 item",
        ),
        (
            "LCR_SER_INFRA_VALIDATION",
            "{platform: docker, image: ''}",
            "`infra_validation.image` should have at least 1",
        ),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        load()


def test_lists_and_mappings_from_the_environment(monkeypatch):
    monkeypatch.setenv("LCR_SER_GRPO__REWARD", '{"NDCG@5": 1, "HR@1": 0.5}')
    monkeypatch.setenv("LCR_SER_MODEL__MLP_UNITS", "[16, 8]")
    settings = load()
    assert settings.grpo.reward == {"NDCG@5": 1.0, "HR@1": 0.5}
    assert settings.model.mlp_units == (16, 8)


def test_thresholds_from_the_environment_are_laid_over_those_of_the_file(monkeypatch):
    monkeypatch.setenv("LCR_SER_EVALUATION__THRESHOLDS", '{"target: new": {"HR@10": {"min": 0.05}}}')
    thresholds = load().evaluation.ranking_check.thresholds
    assert thresholds["target: new"]["HR@10"].min == 0.05
    assert thresholds["all"]["NDCG@5"].significance == 0.01


def test_what_xla_cannot_compile_is_refused_before_a_run(monkeypatch):
    monkeypatch.setenv("LCR_SER_MODEL__KIND", "gru4rec")
    monkeypatch.setenv("LCR_SER_SUPERVISED__JIT_COMPILE", "true")
    with pytest.raises(ValueError, match="`supervised.jit_compile` should be false for gru4rec"):
        load("demo")


def test_hashing_needs_a_number_of_buckets():
    from tfx_pipeline.settings import Vocabulary

    assert Vocabulary(items="hash", max_items=10).max_items == 10
    with pytest.raises(ValueError, match="`max_items` should be the number of hash buckets"):
        Vocabulary(items="hash", max_words=10)


def test_a_drift_can_be_accepted_from_the_environment(monkeypatch):
    assert load("demo").data_check.drift["search_words"] == {"infinity_norm": 0.1, "jensen_shannon": 0.3}
    monkeypatch.setenv("LCR_SER_DATA_CHECK__DRIFT", "{}")
    settings = load("demo").data_check
    assert settings.drift == {}
    assert settings.skew


def test_a_reward_may_hold_a_metric_that_never_differs_beside_one_that_does(monkeypatch):
    monkeypatch.setenv("LCR_SER_GRPO__REWARD", "{HR@100: 1, HR@99: 1}")
    assert load().grpo.reward == {"HR@100": 1.0, "HR@99": 1.0}
