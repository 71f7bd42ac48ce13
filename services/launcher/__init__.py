"""
What the launchers of infrastructure have in common: the environment read, the program run, its state published.

A launcher runs one well-known program in the foreground, so that Compose and plain processes treat it like any other
service. Nothing in here knows which program it is.
"""
