import pytest

from scripts import debian
from scripts.errors import SetupError

EVERYTHING = ("debootstrap", "unshare", "mount", "chroot")


@pytest.mark.parametrize(
    ("user", "found", "namespaces", "says"),
    [
        (1000, EVERYTHING, True, "sudo make test-line-b"),
        (0, ("unshare", "mount", "chroot"), True, "apt-get install --yes debootstrap"),
        (0, (), False, "apt-get install --yes debootstrap util-linux mount coreutils"),
        (0, EVERYTHING, False, "allows no mounts"),
    ],
)
def test_what_is_missing_is_one_line(user, found, namespaces, says):
    problem = debian.lacking(user, found, namespaces, "test-line-b")
    assert says in problem
    assert "\n" not in problem


def test_nothing_is_missing_where_all_is_there():
    assert debian.lacking(0, EVERYTHING, namespaces=True, target="test-line-b") is None


def test_mirror_is_the_one_that_apt_has_for_debian_itself():
    targets = "Docker https://docker.example/\nDebian-Security http://a.example/s/\nDebian http://a.example/debian/\n"
    assert debian.debian_mirror(targets) == ["http://a.example/debian/"]
    assert debian.debian_mirror("Ubuntu http://b.example/ubuntu/\n") == []


def test_certificates_that_the_root_lacks_are_handed_on_once():
    one, two = (f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n" for text in ("b25l", "dHdv"))
    assert debian.new_certificates("# Company\n" + two + one + two, known=one) == [two]


def a_root(folder):
    return debian.DebianRoot(str(folder), "trixie", ("make", "python3"), 1.0)


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(SetupError, match=f"{tmp_path} holds other things"):
        a_root(tmp_path).make()
    assert (tmp_path / "root").exists()


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Stands in for the commands that make a root: a debootstrap that makes an empty tree, and counts its calls."""
    calls = []

    def run(command, **_):
        calls.append(command)
        (tmp_path / "folder" / "root").mkdir()

    monkeypatch.setattr(debian.subprocess, "run", run)
    monkeypatch.setattr(debian, "_apt_sources", lambda: "Debian http://a.example/debian/")
    monkeypatch.setattr(debian.requisites, "check_disk", lambda *_: None)
    return calls


def test_a_finished_root_is_used_again_and_a_half_made_one_is_made_anew(machine, tmp_path):
    root = a_root(tmp_path / "folder")
    for _ in range(2):
        root.make()
    assert len(machine) == 1
    assert machine[0][-4:] == ["--include=make,python3", "trixie", root.tree, "http://a.example/debian/"]
    (tmp_path / "folder" / "made").write_text("unfinished")
    (tmp_path / "folder" / "root" / "half").write_text("")
    root.make()
    assert len(machine) == 2
    assert not (tmp_path / "folder" / "root" / "half").exists()
