import subprocess

import pytest

from scripts import line_b


def test_network_settings_are_handed_on_but_no_path_of_this_machine():
    given = {
        "PIP_INDEX_URL": "https://mirror.example/simple", "UV_HTTP_TIMEOUT": "9", "https_proxy": "http://proxy.example",
        "NO_PROXY": "localhost", "PYTEST_ADDOPTS": "-x",
    }  # fmt: skip
    not_given = {"PIP_CERT": "/ca.pem", "SSL_CERT_FILE": "/ca.pem", "LCR_SER_LOG_DIR": "/log", "PATH": "/bin"}
    assert line_b.passed_on({**given, **not_given}) == given


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
