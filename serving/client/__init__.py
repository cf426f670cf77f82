"""The client of an application."""
