"""The foreign project's scenario is for Docker Compose (test_compose_foreign.py); pytest would run it here, as processes."""

collect_ignore_glob = ["foreign/*"]
