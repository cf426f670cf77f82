"""The page of a run, as HTML and Markdown, from its figures."""
