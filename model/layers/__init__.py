"""The layers of the paper, section 3.2."""
