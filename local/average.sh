#!/usr/bin/env bash
# First half of stage 6: average the networks of the last epochs of each experiment into
# <exp>/final.pt. The epochs are chosen before anything is scored, so no test list has a say in it.
#
# Usage: average.sh [options] <exp> ...
set -euo pipefail

last=                  # program: how many of the last epochs
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
settings=()
hand_on settings last

for exp in "$@"; do
  once --title "average of $exp" --done "$exp/.average.done" --input "$exp/train.jsonl" \
    --input "$exp/.train.done" --output "$exp/final.pt" --force "$force" -- \
    python -m sv.bin.average --exp "$exp" ${settings[@]+"${settings[@]}"} --out "$exp/final.pt"
done
