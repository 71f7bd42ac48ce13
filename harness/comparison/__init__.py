"""
Is the new version worse than the old one: SLIs of whole runs compared by rules whose error rates were measured.

`rules` holds the numbers, `looks` judges pairs of runs, `pairs` says which run comes next, `sides` runs them,
`recorded` and `bank` judge runs that cannot be repeated. What a run promised is not asked here: that is the judge's.
"""
