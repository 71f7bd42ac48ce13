"""The scenarios here are run and killed by the program; pytest would run each of them as a test of its own."""

collect_ignore_glob = ["scenarios/*"]
