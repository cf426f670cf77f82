"""source_hash: changes with the code, and with nothing else."""

import importlib
import sys

import pytest

from components.source_hash import source_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "hashed_package" / "inner").mkdir(parents=True)
    (tmp_path / "hashed_package" / "__init__.py").write_text("")
    (tmp_path / "hashed_package" / "inner" / "part.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path / "hashed_package"
    sys.modules.pop("hashed_package", None)


def test_the_same_code_gives_the_same_hash(package):
    assert source_hash("hashed_package") == source_hash("hashed_package")


@pytest.mark.parametrize("change", ["edit", "add", "rename"])
def test_a_change_anywhere_in_a_package_changes_it(package, change):
    before = source_hash("hashed_package")
    part = package / "inner" / "part.py"
    if change == "edit":
        part.write_text("X = 2\n")
    elif change == "add":
        (package / "new.py").write_text("")
    else:
        part.rename(package / "inner" / "other.py")
    assert source_hash("hashed_package") != before


def test_other_files_do_not_count(package):
    before = source_hash("hashed_package")
    (package / "notes.txt").write_text("no code")
    assert source_hash("hashed_package") == before


def test_the_hash_is_of_files_not_of_imported_code(package):
    source_hash("hashed_package")
    assert "hashed_package" not in sys.modules


def test_an_unknown_module_is_named():
    with pytest.raises(ValueError, match="Received: 'no_such_module_here'"):
        source_hash("no_such_module_here")
