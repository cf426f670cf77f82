import subprocess

import pytest

from scripts import line_b
from scripts.errors import SetupError

EVERYTHING = ("debootstrap", "unshare", "mount", "chroot")


@pytest.mark.parametrize(
    ("user", "found", "namespaces", "says"),
    [
        (1000, EVERYTHING, True, "as root"),
        (0, ("unshare", "mount", "chroot"), True, "apt-get install --yes debootstrap"),
        (0, (), False, "apt-get install --yes debootstrap util-linux mount coreutils"),
        (0, EVERYTHING, False, "allows no mounts"),
    ],
)
def test_what_is_missing_is_one_line(user, found, namespaces, says):
    problem = line_b.lacking(user, found, namespaces)
    assert says in problem
    assert "\n" not in problem


def test_nothing_is_missing_where_all_is_there():
    assert line_b.lacking(0, EVERYTHING, namespaces=True) is None


def test_mirror_is_the_one_that_apt_has_for_debian_itself():
    targets = "Docker https://docker.example/\nDebian-Security http://a.example/s/\nDebian http://a.example/debian/\n"
    assert line_b.debian_mirror(targets) == ["http://a.example/debian/"]
    assert line_b.debian_mirror("Ubuntu http://b.example/ubuntu/\n") == []


def test_network_settings_are_handed_on_but_no_path_of_this_machine():
    given = {
        "PIP_INDEX_URL": "https://mirror.example/simple", "UV_HTTP_TIMEOUT": "9", "https_proxy": "http://proxy.example",
        "NO_PROXY": "localhost", "PYTEST_ADDOPTS": "-x",
    }  # fmt: skip
    not_given = {"PIP_CERT": "/ca.pem", "SSL_CERT_FILE": "/ca.pem", "LCR_SER_LOG_DIR": "/log", "PATH": "/bin"}
    assert line_b.passed_on({**given, **not_given}) == given


def test_certificates_that_the_root_lacks_are_handed_on_once():
    one, two = (f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n" for text in ("b25l", "dHdv"))
    assert line_b.new_certificates("# Company\n" + two + one + two, known=one) == [two]


@pytest.fixture
def checkout(tmp_path):
    source = tmp_path / "source"
    (source / "model").mkdir(parents=True)
    for name, text in {"model/a.py": "a", "old.py": "", ".gitignore": "/build/\n/.venv/\n", "new.py": ""}.items():
        (source / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", source], check=True)
    subprocess.run(["git", "-C", source, "add", "model", "old.py", ".gitignore"], check=True)
    (source / "build").mkdir()
    (source / "build" / "run.json").write_text("{}")
    return source


def test_copy_of_the_checkout_follows_it_and_keeps_its_environment(checkout, tmp_path):
    target = tmp_path / "target"
    line_b.copy_checkout(str(checkout), str(target))
    (target / ".venv").mkdir()
    (checkout / "old.py").unlink()
    (checkout / "model" / "a.py").write_text("b")
    line_b.copy_checkout(str(checkout), str(target))
    assert sorted(path.name for path in target.iterdir()) == [".gitignore", ".venv", "model", "new.py"]
    assert (target / "model" / "a.py").read_text() == "b"
    # make compares times: an unchanged lock must not be installed again.
    assert (target / "new.py").stat().st_mtime == (checkout / "new.py").stat().st_mtime


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(SetupError, match=f"{tmp_path} holds other things"):
        line_b.DebianRoot(str(tmp_path)).make()
    assert (tmp_path / "root").exists()


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Stands in for the commands that make a root: a debootstrap that makes an empty tree, and counts its calls."""
    calls = []

    def run(command, **_):
        calls.append(command)
        (tmp_path / "folder" / "root").mkdir()

    monkeypatch.setattr(line_b.subprocess, "run", run)
    monkeypatch.setattr(line_b, "_apt_sources", lambda: "Debian http://a.example/debian/")
    monkeypatch.setattr(line_b.requisites, "check_disk", lambda *_: None)
    return calls


def test_a_finished_root_is_used_again_and_a_half_made_one_is_made_anew(machine, tmp_path):
    root = line_b.DebianRoot(str(tmp_path / "folder"))
    for _ in range(2):
        root.make()
    assert len(machine) == 1
    assert machine[0][-3:] == ["trixie", root.tree, "http://a.example/debian/"]
    (tmp_path / "folder" / "made").write_text("unfinished")
    (tmp_path / "folder" / "root" / "half").write_text("")
    root.make()
    assert len(machine) == 2
    assert not (tmp_path / "folder" / "root" / "half").exists()
