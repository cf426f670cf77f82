"""code_hash: of all that runs, found by reading imports alone, and of nothing else."""

import pytest

from components.common import source_hash
from components.common.source_hash import DATA_SUFFIXES, PACKAGES, code_hash, source_files

TREE = {
    "model/__init__.py": "",
    "model/b.py": "from model.deep import c\n",
    "model/deep/__init__.py": "",
    "model/deep/c.py": "from model import b\n",
    "components/__init__.py": "",
    "components/a.py": "",
    "components/helper.py": "",
    "components/inner/__init__.py": "",
    "components/inner/part.py": "from ..helper import y\nfrom . import other\n",
    "components/inner/other.py": "",
    "numpy/b.py": "",
}
A = {"components/__init__.py", "components/a.py"}
B = {"model/__init__.py", "model/b.py", "model/deep/__init__.py", "model/deep/c.py"}
HELPER = {"components/helper.py"}
PART = {"components/inner/__init__.py", "components/inner/part.py", "components/inner/other.py", *HELPER}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Writes packages to a new folder: what was read of a folder is remembered as long as the process lives."""
    folders = iter(map(str, range(9)))

    def write(**changes):
        root = tmp_path / next(folders)
        for name, text in {**TREE, **changes}.items():
            if text is not None:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
        monkeypatch.setattr(source_hash, "ROOT", root)

    return write


def _names(*code):
    return {path.relative_to(source_hash.ROOT).as_posix() for path in source_files(*code)}


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("import model.b", B),
        ("import model.b as c, numpy.b", B),
        ("from model import b", B),
        ("from model.b import *", B),
        ("from model.b import f as g", B),
        ("import model", {"model/__init__.py"}),
        ("from . import helper", HELPER),
        ("from .helper import x", HELPER),
        ("from .inner.part import x", PART),
        ("from components.inner import part", PART),
        ("def f():\n    class C:\n        from model import b", B),
        ("async def f():\n    async with x:\n        import model.b", B),
        ("if x:\n    pass\nelif y:\n    pass\nelse:\n    import model.b", B),
        ("try:\n    import numpy\nexcept ImportError:\n    import model.b", B),
        ("try:\n    pass\nfinally:\n    import model.b", B),
        ("match x:\n    case 1:\n        import model.b", B),
        ("while x:\n    for y in z:\n        import model.b", B),
        ("METRICS = 'model.b'", B),
        ('command = ["-m", "model.b"]', B),
        ("import numpy.b", set()),
        ("from models import b", set()),
        ("x = 'see model.b'  # from model import b", set()),
    ],
)
def test_imports_are_followed_wherever_they_stand(tree, text, more):
    tree(**{"components/a.py": text})
    assert _names("components.a.function") == _names("components.a") == A | more


def test_the_package_of_a_module_brings_what_it_imports(tree):
    tree(**{"components/a.py": "import model.b", "model/__init__.py": "from components import helper"})
    assert _names("components.a") == A | B | HELPER


def test_several_names_are_taken_together(tree):
    tree()
    assert _names("components.a", "components.inner.part") == A | PART


def test_data_counts_beside_modules_that_are_needed(tree):
    tree(**{"components/page.j2": "", "components/notes.txt": "", "components/inner/x.css": "", "model/x.pbtxt": ""})
    assert _names("components.a") == A | {"components/page.j2"}


def test_the_same_code_gives_the_same_hash_wherever_it_lies(tree):
    tree()
    before = code_hash("components.inner.part")
    assert len(before) == 16
    tree(**{"components/a.py": "x = 1", "model/b.py": "x = 1", "components/inner/notes.txt": "x"})
    assert code_hash("components.inner.part") == before


@pytest.mark.parametrize(
    "changes",
    [
        {"components/helper.py": "x = 1"},
        {"components/inner/__init__.py": "x = 1"},
        {"components/inner/style.css": ""},
        {"components/inner/part.py": "from ..helper import y\nfrom . import new", "components/inner/new.py": ""},
        {"components/inner/other.py": None, "components/inner/other/__init__.py": ""},
    ],
)
def test_a_change_of_needed_files_or_of_their_names_changes_it(tree, changes):
    tree()
    before = code_hash("components.inner.part")
    tree(**changes)
    assert code_hash("components.inner.part") != before


def test_nothing_is_imported(tree):
    tree(**{"components/a.py": "raise SystemExit"})
    code_hash("components.a")


@pytest.mark.parametrize("name", ["numpy.b", "components.none", "components.inner.none", "components.a.f.g"])
def test_an_unknown_module_is_named(tree, name):
    tree()
    with pytest.raises(ValueError, match=f"should be modules of model, .* Received: '{name}'"):
        code_hash(name)


def test_every_kind_of_file_in_the_packages_is_known():
    """One of a new kind would change what runs, and no hash."""
    files = (path for name in PACKAGES for path in (source_hash.ROOT / name).rglob("*") if path.is_file())
    kinds = (*DATA_SUFFIXES, ".py", ".pyc")
    others = {path.relative_to(source_hash.ROOT) for path in files if path.suffix not in kinds}
    # What is deployed, beside a pushed model or for its training, and how the client is packed: no component reads it.
    apart = ("serving/deploy/", "serving/client/", "tfx_pipeline/kubeflow/manifests/")
    others = {path for path in others if not path.as_posix().startswith(apart)}
    assert {path.as_posix() for path in others} == {
        "tfx_pipeline/settings.yaml"  # all of it reaches components as parameters
    }
