#!/bin/sh
mkdir -p /logs/verifier
if python3 /tests/check_stats; then right=1; else right=0; fi
printf '{"reward": %s, "lines": %s}' "$right" "$(wc -l < /app/stats.py)" > /logs/verifier/reward.json
