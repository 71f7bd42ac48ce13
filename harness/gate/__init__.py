"""
The gate of a CI job: finished runs and comparisons in, one answer out, by a policy that a person wrote.

It runs nothing. `policy` is what people write, `evidence` what is found below the folders they name, `judging` the
rules, `shown` the forms in which CI servers want to read it.
"""
