"""One module a source: each turns its files into rows of the event form and owns the quirks of its source."""
