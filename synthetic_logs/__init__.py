"""Logs made up for trying things: the demo log, and a simulator whose truth is known."""
