"""The tests, a folder for each room; what they share is in `tests.support`."""
