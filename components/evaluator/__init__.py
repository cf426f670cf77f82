"""What the TFX Evaluator is given, and what it found."""
