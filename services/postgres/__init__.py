"""
A PostgreSQL cluster out of small launchers: nodes, a supervisor that fails over, and one address for writers.

Each is an ordinary foreground service that is told everything by its environment, so it runs the same as a process and
in a container. `README.md` says what each is told. Nothing here knows of the shop that writes, or of who tests it.
"""
