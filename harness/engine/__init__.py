"""
The container engine: how it is found and asked, what bears a run's label, and how all of that is removed again.

The only room that imports Docker's SDK. It knows nothing of systems, links or faults.
"""
