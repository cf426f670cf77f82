"""What trainings minimise and what rankings are judged by, as pure functions."""
