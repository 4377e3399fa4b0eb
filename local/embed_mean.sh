#!/usr/bin/env bash
# A baseline for stage 6 of any corpus: mean filterbanks, less those of a training set, as vectors,
# in <exp>/embeddings/<name of data>.{ark,scp}.
#
# Usage: embed_mean.sh [options] <data> <training-data> <exp>
set -euo pipefail

cepstra=               # program: average cepstra 1 to N instead of filterbanks
deviation=             # program: true: standard deviations as well
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 training=$2 exp=$3
read -r -a launch <<< "${cmd:-launch}"
name=$(basename -- "$data")
out=$exp/embeddings/$name
kind=()
hand_on kind cepstra deviation

what=(--title "embeddings of $data in $exp" --done "$exp/embeddings/.$name.done"
  --input "$data/feats.scp" --input "$data/utt2num_frames" --input "$training/feats.scp"
  --input "$training/utt2num_frames" --output "$out.scp" --output "$out.ark"
  --key "${kind[*]}")
. begin.sh "${what[@]}" --force "$force"

LAUNCH_TITLE="embeddings of $data" "${launch[@]}" "$exp/log/embed.$name.log" \
  python -m sv.bin.embed_mean --data "$data" --center-on "$training" --out "$out" \
  ${kind[@]+"${kind[@]}"}
once mark "${what[@]}"
