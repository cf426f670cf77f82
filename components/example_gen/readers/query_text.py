"""Cuts the text of a query into words."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

from components.example_gen.errors import LogError
from components.example_gen.readers import fields
from components.example_gen.readers.fields import BadField
from components.example_gen.settings import LogSettings

Cutter = Callable[[str, str], Sequence[str]]
"""Text and the name of its column to words; raises BadField."""


def cutter(settings: LogSettings, default: Literal["list", "jieba", "list or split"]) -> Cutter:
    """Return how `query_words` says that queries are cut; `default` is what "auto" stands for.

    Raises:
        LogError: where jieba is asked for and not installed.
    """
    way = default if settings.query_words == "auto" else settings.query_words
    if way == "jieba":
        _tokenizer()
    ways: dict[str, Cutter] = {"list": fields.words, "split": split, "jieba": cut_chinese}
    return ways.get(way, list_or_split)


def split(text: str, column: str) -> Sequence[str]:
    """Return what stands between blanks."""
    return text.split()


def list_or_split(text: str, column: str) -> Sequence[str]:
    """Return the words of a printed list, or what stands between blanks, as of "[4k] monitor"."""
    if text.lstrip().startswith("["):
        try:
            return fields.words(text, column)
        except BadField:
            pass
    return split(text, column)


def cut_chinese(text: str, column: str) -> Sequence[str]:
    """Return the words that jieba finds, in lower case, without blanks and punctuation.

    So cut GSERec's authors, who then leave out the words of a stop list; none is left out here.
    """
    words = (word.strip().lower() for word in _tokenizer().cut(text))
    return [word for word in words if any(map(str.isalnum, word))]


@functools.cache
def _tokenizer() -> Any:
    try:
        import jieba
    except ImportError as error:
        raise LogError(
            "The queries of this log are Chinese text, which jieba cuts into words, and it is not "
            "installed. Run `pip install 'lcr-ser[chinese]'`, or set `query_words` to how the text is "
            "cut already: split or list."
        ) from error
    jieba.setLogLevel(logging.WARNING)  # it tells of its dictionary, in red, as of an error
    return jieba.Tokenizer()
