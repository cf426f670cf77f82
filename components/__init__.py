"""The TFX components: raw logs in, servable out.

The artifact types are attributes of this package, loaded when they are asked for: Kubeflow's compiler takes a type's
name for its import path and knows no longer one than `package.Class`, which is why they are called
`components.LogReport` and so on.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name[0].isupper():
        from components.common import artifacts

        return getattr(artifacts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
