"""A picture as a page holds it, and the one way in which all are drawn."""

import base64
import dataclasses
import io
from collections.abc import Callable
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure

BLACK, BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = (
    "#000000",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
)
"""The palette of Okabe and Ito (2008), which people with any colour vision can tell apart."""
GREY = "#5F6670"
COLOURS = (BLACK, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One for each colour, as nothing is told by colour alone."""
WIDTH = 4.2
"""Inches of every picture: two stand side by side on a desk, and one on a phone can be read."""
_PIXELS = 96
_STYLE: Final[dict[Any, Any]] = {  # its keys are literals of their own type from matplotlib 3.11 on
    # Outlines instead of text: the picture looks alike whatever fonts there are, and DejaVu comes with matplotlib.
    "font.family": "DejaVu Sans",
    "svg.fonttype": "path",
    "svg.hashsalt": "run page",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.edgecolor": "#B6BCC4",
    "xtick.labelcolor": "#30353C",
    "ytick.labelcolor": "#30353C",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E7EAEE",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image of a page.

    Attributes:
        alt: what it shows and what came out, in words.
        uri: the image itself, SVG in a data URI.
        width, height: in pixels of CSS.
    """

    alt: str
    uri: str
    width: int
    height: int


def draw(paint: Callable[[Figure], None], alt: str, height: float) -> Picture:
    """Draw a picture; the same figures give the same bytes.

    Args:
        paint: puts axes on an empty figure.
        alt: of the picture.
        height: inches.
    """
    buffer = io.BytesIO()
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    uri = "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(alt, uri, round(WIDTH * _PIXELS), round(height * _PIXELS))
