#!/usr/bin/env bash
# In the place of stages 6 to 8 if a corpus has no trials: average the models and name their places.
#
# Usage: untested.sh [options] <exp> ...
set -euo pipefail

last=                  # program: how many of the last epochs
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
export force
for exp in "$@"; do
  if [ ! -e "$exp/checkpoints" ]; then
    echo "run.sh: there is no data/test and no model in $PWD/$exp: begin with --stage 0" >&2
    exit 2
  fi
done
average.sh --last "$last" "$@"
echo "There are no trials, so nothing to test."
for exp in "$@"; do echo "The model is $PWD/$exp/final.pt"; done
