"""What a model looks at and where its states go: for the run page, experiments and explanations."""
