"""A push is whole or not at all, numbered upwards, described by its manifest, and can be taken back."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.pusher import local
from components.pusher.layout import live_versions, next_version, withdrawn_versions
from components.pusher.manifest import Facts, find_damage, model_fingerprint, read_manifest
from components.pusher.rollback import rollback

FACTS = Facts({"NDCG@5": 0.5}, "data", "code")


@pytest.fixture
def model(tmp_path):
    """Writes something shaped like a SavedModel, with content of its own."""

    def write(content):
        folder = tmp_path / f"model-{content}"
        (folder / "variables").mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_text(f"graph {content}")
        (folder / "variables" / "variables.index").write_text("index")
        return folder

    return write


@pytest.fixture
def serving(tmp_path):
    return tmp_path / "serving"


@pytest.fixture
def clock(monkeypatch):
    """Stands still at 1000 s until it is set."""
    now = [1000.5]
    monkeypatch.setattr(local.time, "time", lambda: now[0])
    return now


def _push_all(model, serving, contents, keep=5):
    return [local.push(model(content), serving, FACTS, keep).version for content in contents]


def test_the_manifest_says_what_was_pushed_and_where_it_comes_from(model, serving, clock):
    assert local.push(model("a"), serving, FACTS, 5) == local.Pushed(1000)
    content = json.loads((serving / "1000" / "assets.extra" / "manifest.json").read_text())
    assert content["files"]["saved_model.pb"] == {"sha256": hashlib.sha256(b"graph a").hexdigest(), "size": 7}
    assert sorted(content["files"]) == ["saved_model.pb", "variables/variables.index"]
    assert content["facts"] == {"metrics": {"NDCG@5": 0.5}, "data": "data", "code": "code"}
    assert (content["version"], content["pushed_at"]) == (1000, 1000.5)
    assert (serving / "1000" / "variables" / "variables.index").read_text() == "index"
    assert find_damage(serving / "1000") == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: (path / "saved_model.pb").write_text("graph b"), "saved_model.pb has changed"),
        (lambda path: (path / "saved_model.pb").unlink(), "saved_model.pb is missing"),
        (lambda path: (path / "added").write_text(""), "added is not in the manifest"),
        (lambda path: (path / "assets.extra" / "manifest.json").unlink(), "assets.extra/manifest.json is missing"),
    ],
)
def test_damage_is_named(model, serving, clock, damage, expected):
    _push_all(model, serving, "a")
    damage(serving / "1000")
    assert find_damage(serving / "1000") == [expected]


def test_pushes_within_a_second_give_versions_of_their_own(model, serving, clock):
    assert _push_all(model, serving, "abc") == [1000, 1001, 1002]
    clock[0] = 900.0  # a clock that was set back
    assert _push_all(model, serving, "d") == [1003]
    clock[0] = 2000.0
    assert _push_all(model, serving, "e") == [2000]


@given(st.lists(st.integers(0, 2**40)), st.floats(0, 2**40))
def test_a_new_number_is_the_highest(taken, now):
    version = next_version(taken, now)
    assert all(version > other for other in taken)
    assert version >= int(now)


def test_an_unchanged_model_is_not_pushed_twice(model, serving, clock):
    _push_all(model, serving, "a")
    again = local.push(model("a"), serving, Facts(data="other data"), 5)
    assert again == local.Pushed(1000, "unchanged: version 1000 is this model already")
    assert list(live_versions(serving)) == [1000]
    assert _push_all(model, serving, "ba") == [1001, 1002]  # an earlier model may become the newest again


def test_the_fingerprint_depends_on_names_and_contents_alone():
    files = {"a": {"sha256": "1", "size": 3}, "b": {"sha256": "2", "size": 4}}
    assert model_fingerprint(files) == model_fingerprint(dict(reversed(files.items())))
    assert model_fingerprint(files) != model_fingerprint({"a": files["b"], "b": files["a"]})
    assert model_fingerprint(files) != model_fingerprint({"c": files["a"], "b": files["b"]})


def test_the_last_versions_are_kept(model, serving, clock):
    _push_all(model, serving, "abcde", keep=3)
    assert list(live_versions(serving)) == [1002, 1003, 1004]
    _push_all(model, serving, "f", keep=1)
    assert list(live_versions(serving)) == [1005]
    assert sorted(os.listdir(serving)) == [".push", "1005"]
    assert sorted(os.listdir(serving / ".push")) == ["push.lock", "versions.lock"]


def test_what_a_killed_push_left_is_removed_by_the_next(model, serving, clock):
    _push_all(model, serving, "a")
    for content, version in (("a", "1000"), ("b", "1001")):  # one that pushes nothing, one of the same number
        left = serving / ".push" / "staging" / "1001"
        left.mkdir(parents=True)
        (left / "saved_model.pb").write_text("half")
        assert _push_all(model, serving, content) == [int(version)]
        assert not left.exists()
    assert find_damage(serving / "1001") == []


def test_two_pushers_at_once_follow_each_other(model, serving, clock):
    folders = [model(str(number)) for number in range(8)]
    results = []
    threads = [
        threading.Thread(target=lambda path=path: results.append(local.push(path, serving, FACTS, 8).version))
        for path in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(1000, 1008))
    assert all(find_damage(path) == [] for path in live_versions(serving).values())


def test_a_model_that_changes_meanwhile_is_not_pushed(model, serving, clock, monkeypatch):
    monkeypatch.setattr(local, "copy_file", lambda source, target: "another hash")
    with pytest.raises(RuntimeError, match="changed while it was copied"):
        _push_all(model, serving, "a")
    assert live_versions(serving) == {}


def test_rollback_goes_to_the_previous_version_and_back(model, serving, clock):
    _push_all(model, serving, "abc")
    done = rollback(serving)
    assert (done.served, done.before, done.withdrawn) == (1001, 1002, (1002,))
    assert rollback(serving).served == 1000
    assert list(live_versions(serving)) == [1000]
    assert list(withdrawn_versions(serving)) == [1001, 1002]
    assert rollback(serving, 1002).before == 1000
    assert list(live_versions(serving)) == [1000, 1002]
    assert rollback(serving, 1001).withdrawn == (1002,)
    assert list(live_versions(serving)) == [1000, 1001]
    everything = {**live_versions(serving), **withdrawn_versions(serving)}
    assert all(find_damage(path) == [] for path in everything.values())


def test_servers_see_the_version_from_before_or_the_one_asked_for(model, serving, clock, monkeypatch):
    _push_all(model, serving, "abcd")
    seen, rename = [], os.rename

    def watched(source, target):
        rename(source, target)
        seen.append(max(live_versions(serving)))

    monkeypatch.setattr("components.pusher.rollback.os.rename", watched)
    rollback(serving, 1000)
    assert seen == [1003, 1003, 1000]
    rollback(serving, 1002)
    rollback(serving, 1001)
    assert seen[3:] == [1002, 1002, 1001]


@pytest.mark.parametrize(
    ("contents", "version", "message"),
    [("a", None, "should hold a version to go back to. Received: 1000"), ("ab", 7, "one of 1000, 1001. Received: 7")],
)
def test_there_is_nothing_to_go_back_to(model, serving, clock, contents, version, message):
    _push_all(model, serving, contents)
    with pytest.raises(ValueError, match=message):
        rollback(serving, version)


def test_a_withdrawn_model_is_not_pushed_again_and_its_number_not_given_again(model, serving, clock):
    _push_all(model, serving, "ab")
    rollback(serving)
    again = local.push(model("b"), serving, FACTS, 5)
    assert again.version is None
    assert again.reason.startswith("version 1001, this very model, was withdrawn")
    assert _push_all(model, serving, "c", keep=1) == [1002]
    assert list(withdrawn_versions(serving)) == [1001]  # kept besides


def test_versions_of_another_pusher_are_left_in_peace(model, serving, clock):
    (serving / "7").mkdir(parents=True)
    (serving / "7" / "saved_model.pb").write_text("stock")
    (serving / "2000").mkdir()  # not complete
    assert _push_all(model, serving, "a") == [2001]
    assert list(live_versions(serving)) == [7, 2001]
    assert Path(serving, "2000").is_dir()
    assert read_manifest(serving / "7") is None
