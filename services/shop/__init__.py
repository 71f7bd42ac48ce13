"""
The sample shop: five small services that protect every call they make, to be hurt by chaos runs.

Nothing in here knows of the harness; it is a system under test like any other.
"""
