"""The Transform component's function: strings to ids."""
