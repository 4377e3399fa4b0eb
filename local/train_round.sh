#!/usr/bin/env bash
# Stage 5 of v5 for any corpus: train from scratch on the clusters of another experiment, <from>, as
# pseudo-labels, with a gate for those that are probably wrong, and average the last epochs.
# <exp>/round gets losses.png, a histogram of the losses with the gate, and round.json. With --large
# training goes on in <exp>-large. Everything else is as in train.sh.
#
# Usage: train_round.sh [options] <from> <data> <banks> <exp>
set -euo pipefail

config=conf/aam.yaml     # FILE: settings of model, loss and training
set=                     # settings over those of --config
seed=                    # program: of the first weights and of the order of training
last=                    # program: how many of the last epochs to average
epochs=20                # of the round
large=0                  # more epochs with --large-set; the gate opens, and closes after the first
large_set="method.margin=0.5 data.crop_seconds=5.0" # settings of these: margin, longer crops
round=1                  # number of the round, from 1
gate=                    # none, fixed or gaussians; default: as the settings say
gates="1 3 3 5 6"        # largest loss of --gate fixed, one a round, the last also for more (LGL)
correct=                 # true or false: label correction; default: as the settings say
ngpu=${ngpu:-0}          # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=${nnodes:-1}      # machines with --ngpu GPUs each
force=${force:-false}    # begin anew, even if complete or half done

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
from=$1 data=$2 banks=$3 exp=$4
export ngpu nnodes force
clusters=$from/clusters
if [ ! -e "$clusters/utt2cluster" ]; then
  echo "train_round.sh: $from has no clusters, which are the labels of round $round: run stage 4: ./run.sh --stage 4" >&2
  exit 2
fi
read -r -a each <<< "$gates"
place=$((round <= ${#each[@]} ? round : ${#each[@]}))
[ -z "$gate" ] || set="method.gate=$gate method.gate_loss=${each[place - 1]} $set"
[ -z "$correct" ] || set="method.correct=$correct $set"
train() { # settings, epochs to average, experiment, further options of train.sh
  train.sh --config "$config" --labels "$clusters/utt2cluster" --seed "$seed" --set "$1" "${@:4}" \
    "$data" "$banks" "$3"
  average.sh --last "$2" "$3"
  report_round.sh "$clusters" "$data" "$3"
}
train "$set train.epochs=$epochs" "$last" "$exp"
[ "$large" -eq 0 ] || {
  # The losses of another margin are others, so an epoch without a gate measures them first.
  open="method.gate_start=$((epochs + 1)) method.correct_start=$((epochs + 1))"
  train "$set train.epochs=$((epochs + large)) $large_set $open" \
    "$((${last:-10} < large ? ${last:-10} : large))" "$exp-large" --base "$exp"
}
