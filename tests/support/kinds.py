"""Which kinds of models take part in tests that train or serve one."""

import pytest

ALWAYS = ("popularity", "sasrec", "lcr_ser")
"""One of counts, one of recommendation alone, one that reads searches; the others take their turn in the long tests."""


def some(kinds):
    """The kinds, all but those of `ALWAYS` marked as long."""
    return [kind if kind in ALWAYS else pytest.param(kind, marks=pytest.mark.long) for kind in kinds]
