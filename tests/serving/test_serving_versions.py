import pytest

from serving.versions import Policy, choose_versions, find_versions


def _write(folder, name, content="pb"):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "saved_model.pb").write_text(content)


def test_only_complete_numeric_folders_are_versions(tmp_path):
    for name in ("1", "0012", "abc", "-3", "1.5", "٣", str(2**63)):
        _write(tmp_path, name)
    (tmp_path / "7").mkdir()  # still being copied
    (tmp_path / "8").write_text("a file")
    assert sorted(find_versions(tmp_path)) == [1, 12]


def test_missing_directory_holds_no_version(tmp_path):
    assert find_versions(tmp_path / "later") == {}


def test_newest_is_chosen_unless_it_failed_with_these_files(tmp_path):
    _write(tmp_path, "1")
    _write(tmp_path, "10")
    found = find_versions(tmp_path)
    assert choose_versions(found, {}) == [10]
    failed = {10: found[10]}
    assert choose_versions(found, failed) == [1]
    _write(tmp_path, "10", "repaired")
    assert choose_versions(find_versions(tmp_path), failed) == [10]
    assert choose_versions({}, {}) == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(), [9]),
        (Policy(latest=2), [9, 7]),
        (Policy(latest=9), [9, 7, 2]),
        (Policy(latest=None), [9, 7, 2]),
        (Policy(specific=(2, 8, 9)), [9, 2]),
        (Policy(specific=(8,)), []),
    ],
)
def test_a_policy_chooses_among_what_is_there_newest_first(tmp_path, policy, expected):
    for name in ("2", "7", "9"):
        _write(tmp_path, name)
    assert choose_versions(find_versions(tmp_path), {}, policy) == expected
