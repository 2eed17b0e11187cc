#!/bin/sh
# Harbor starts the tests in the working directory.
if [ "$(cat sum.txt)" = "$(cat /tests/expected.txt)" ]; then
  echo 1 > /logs/verifier/reward.txt
else
  echo 0 > /logs/verifier/reward.txt
fi
