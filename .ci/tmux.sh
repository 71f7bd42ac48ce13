#!/usr/bin/env bash
# Installs tmux, in which tests/system/test_drill_terminal.py presses keys; does nothing where it is there.
set -euo pipefail
command -v tmux >/dev/null && exit 0
apt-get update -q && apt-get install -qy --no-install-recommends tmux
