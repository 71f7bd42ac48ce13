"""The scenarios here are material for mutants, run by `record`; pytest would run each of them as a test of its own."""

collect_ignore_glob = ["scenarios/*"]
