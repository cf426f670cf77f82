"""How far figures of ranks can be trusted, and where they come from: slices, intervals, paired tests, thresholds.

Here and not in `model/`, as training needs none of it: one set of ranks a run, looked at in many ways.
"""
