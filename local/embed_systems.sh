#!/usr/bin/env bash
# Stage 6 for several experiments: what embed.sh does, by the averaged network of each.
#
# Usage: embed_systems.sh [options] <data> <exp> ...
set -euo pipefail

nj=${nj:-1}            # pieces, and jobs that work on them, without --ngpu
ngpu=${ngpu:-0}        # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=${nnodes:-1}    # machines with --ngpu GPUs each
crops=                 # N: besides whole utterances, N crops of each
train=                 # DIR: training set; besides, embed a sample of it, for score_kinds.sh
cohort=${cohort:-6000} # utterances of this sample
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
export nj ngpu nnodes force cohort
data=$1
for exp in "${@:2}"; do
  embed.sh --train "$train" "$exp/final.pt" "$data" "$exp"
  [ -z "$crops" ] || embed.sh --crops "$crops" "$exp/final.pt" "$data" "$exp"
done
