"""Strings of users in a page: they may hold anything, and are shown as they are."""

import re

from markupsafe import Markup, escape

_SPAN = re.compile(r"`([^`]+)`")
# Not `_` within a word, which GitHub leaves alone, so that names stay readable in the source.
_MARKDOWN = re.compile(r"[\\*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^(?=[#>+-])", re.MULTILINE)


def html_prose(text: str) -> Markup:
    """A sentence in HTML, what stands between backticks as code."""
    parts = _SPAN.split(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part)  # noqa: S704 - a constant
        for at, part in enumerate(parts)
    )


def markdown_prose(text: str) -> str:
    """A sentence in GitHub's Markdown on one line; what stands between backticks is code."""
    parts = _SPAN.split(" ".join(text.split()))
    return "".join(markdown_code(part) if at % 2 else _plain(part) for at, part in enumerate(parts))


def markdown_code(text: str) -> str:
    """A string as code in GitHub's Markdown on one line. Nobody named in it is notified."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text or ' '}{space}{fence}"


def markdown_cell(text: str) -> str:
    """What a cell of a table holds, prose or code, with its bars escaped."""
    return text.replace("|", "\\|")


def _plain(text: str) -> str:
    escaped = _MARKDOWN.sub(lambda found: "\\" + found.group(), text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace("`", "\\`")
