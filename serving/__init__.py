"""Scoring: a client of TF Serving's gRPC interface, and a development server that speaks it."""
