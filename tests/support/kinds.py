"""Which kinds of models take part in tests that train or serve one."""

import pytest

ALWAYS = ("popularity", "sasrec", "lcr_ser")
"""One of counts, one of recommendation alone, one that reads searches; the others take their turn in the long tests."""


def some(kinds, always=ALWAYS):
    """The kinds, all but those of `always` marked as long."""
    return [kind if kind in always else pytest.param(kind, marks=pytest.mark.long) for kind in kinds]
