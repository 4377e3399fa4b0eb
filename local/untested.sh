#!/usr/bin/env bash
# In the place of stages 6 to 8 where a corpus has no trials: average the model and say where it is.
#
# Usage: untested.sh [options] <exp>
set -euo pipefail

last=10      # how many of the last epochs
force=false  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
exp=$1
if [ ! -e "$exp/checkpoints" ]; then
  echo "run.sh: there is no data/test and no model in $PWD/$exp: begin with --stage 0" >&2
  exit 2
fi
average.sh --last "$last" --force "$force" "$exp"
echo "There are no trials, so nothing to test. The model is $PWD/$exp/final.pt"
