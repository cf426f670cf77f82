"""Stops a push where the data is not what it was: schema anomalies, drift between runs, skew against serving."""
