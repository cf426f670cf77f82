"""The metadata of a run's folder: a file that cannot be used is named, with what to do."""

import sqlite3

import pytest
from tfx.orchestration.metadata import Metadata

from tfx_pipeline import metadata_file
from tfx_pipeline.metadata_file import connection


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of metadata that the library made."""
    folder = tmp_path_factory.mktemp("sound")
    connection(folder)
    return (folder / "metadata.db").read_bytes()


def _changed(sound, folder, statement):
    (folder / "metadata.db").write_bytes(sound)
    with sqlite3.connect(folder / "metadata.db") as database:
        database.execute(statement)


def test_sound_metadata_are_used_and_missing_ones_made(tmp_path, sound):
    for _ in range(2):
        with Metadata(connection(tmp_path)) as handle:
            assert handle.store.get_executions() == []
    (tmp_path / "metadata.db").write_bytes(sound)
    connection(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda sound: b"some text\n" * 500, "file is not a database"),
        (lambda sound: sound[: len(sound) // 2], "database disk image is malformed"),
        (lambda sound: sound[:100], "database disk image is malformed"),
        (lambda sound: sound[:8192] + bytes(len(sound) - 8192), "is broken"),
    ],
)
def test_a_broken_file_is_named_with_the_remedy(tmp_path, sound, content, reason):
    path = tmp_path / "metadata.db"
    path.write_bytes(content(sound))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=reason) as raised:
        connection(tmp_path)
    message = str(raised.value)
    assert message.startswith(f"{path} is broken: ") and "\n" not in message
    assert message.endswith(
        f". Bring a whole copy of it. Or move {path} and {tmp_path}/artifacts away: the next run "
        "starts from nothing, and what was pushed stays."
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "relation"), [(99, "greater"), (6, "older")])
def test_another_version_is_named(tmp_path, monkeypatch, sound, version, relation):
    monkeypatch.setattr("tfx.orchestration.metadata._MAX_INIT_RETRY", 1)
    _changed(sound, tmp_path, f"UPDATE MLMDEnv SET schema_version = {version}")
    message = f"metadata.db cannot be used: MLMD database version {version} is {relation} than library version"
    with pytest.raises(ValueError, match=f"{message} .*. Run the version of this project that wrote it. Or move"):
        connection(tmp_path)


def test_a_file_that_cannot_be_opened_or_written_is_named(tmp_path, monkeypatch, sound):
    (tmp_path / "metadata.db").mkdir()
    with pytest.raises(
        ValueError,
        match="metadata.db should be a database that can be read and written. "
        "Received: unable to open database file. Make it so.",
    ):
        connection(tmp_path)
    (tmp_path / "metadata.db").rmdir()
    (tmp_path / "metadata.db").write_bytes(sound)
    # Root may write every file, so that a read-only one is had by opening it so.
    connect = sqlite3.connect
    monkeypatch.setattr(
        metadata_file.sqlite3, "connect", lambda name, uri: connect(name.replace("mode=rw", "mode=ro"), uri=uri)
    )
    with pytest.raises(ValueError, match="Received: attempt to write a readonly database. Make it so."):
        connection(tmp_path)


def test_artifacts_that_the_file_does_not_know_are_named(tmp_path):
    (tmp_path / "artifacts" / "Transform").mkdir(parents=True)
    with pytest.raises(ValueError, match="knows none of the artifacts in .*/artifacts. Bring the file back, or move"):
        connection(tmp_path)


def test_a_folder_of_any_name_holds_metadata(tmp_path):
    folder = tmp_path / "50% of #1? yes & é"
    folder.mkdir()
    for _ in range(2):
        connection(folder)
    assert (folder / "metadata.db").exists()
