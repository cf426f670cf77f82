"""Names of the files of a run's report, beside each other in one folder."""

FIGURES_FILE = "run.json"
"""All figures."""
PAGE_FILE = "run.md"
HTML_FILE = "run.html"
"""The page, as Markdown and as HTML; rendered from the figures."""
REQUEST_FILE = "request.json"
"""A request to try the model with."""
