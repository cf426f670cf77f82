"""A console that prints text as it is."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 160
"""Of what is no terminal."""


def plain_console(**options: Any) -> "Console":
    """A console that takes nothing for markup: paths, ids and settings may hold [brackets] and :colons:.

    Args:
        options: of `rich.console.Console`.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, **options)
    if not console.is_terminal:
        console.width = _WIDTH
    return console
