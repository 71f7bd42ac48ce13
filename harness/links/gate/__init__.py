"""
The gate: one process that stands nearest the client on every link of a run.

It passes bytes on untouched, writes down each HTTP exchange it saw pass, and does the faults Toxiproxy cannot: a
status, a delay or an abort for chosen requests. It judges nothing. Start it with `python -m harness.links.gate CONFIG`.
"""
