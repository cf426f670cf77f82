"""Training and evaluation of LCR-SER."""
