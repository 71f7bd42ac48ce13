#!/usr/bin/env bash
# The browser in which tests open reports: a Chromium from the system's packages, installed unless there is one.
set -euo pipefail

for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [ -n "$name" ] && command -v "$name" >/dev/null; then
        "$name" --version 2>/dev/null
        exit 0
    fi
done
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "no Chromium here and no way to install one: the tests that need it will be skipped"
    exit 0
fi
apt-get update -qq
apt-get install -qq -y --no-install-recommends chromium >/dev/null
chromium --version 2>/dev/null
