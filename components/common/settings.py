"""What the settings of components have in common: they travel as execution parameters."""

import dataclasses
import json
from typing import Any, TypeVar

Settings = TypeVar("Settings", bound="ComponentSettings")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComponentSettings:
    """Settings of a component, as a frozen dataclass of plain values."""

    def to_json(self) -> str:
        """Write the settings as an execution parameter; equal settings give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls: type[Settings], text: str) -> Settings:
        """Read the settings back."""
        return cls(**cls._from_plain(json.loads(text)))

    @classmethod
    def _from_plain(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Arguments from what JSON makes of them."""
        return fields
