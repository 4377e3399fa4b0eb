#!/usr/bin/env bash
# A baseline for stage 6 of any corpus: unsupervised i-vectors, learned from a training set without
# its labels, in <exp>/embeddings/<name of data>.{ark,scp}; those of the training set lie beside them.
#
# Usage: embed_ivectors.sh [options] <data> <training-data> <exp>
set -euo pipefail

gaussians=             # program: Gaussians of the background model
rank=                  # program: length of an i-vector
seed=                  # program: of the first Gaussians and loadings
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 training=$2 exp=$3
read -r -a launch <<< "${cmd:-launch}"
name=$(basename -- "$data")
out=$exp/embeddings

settings=()
hand_on settings gaussians rank seed
what=(--title "i-vectors of $data in $exp" --done "$out/.$name.done"
  --input "$data/feats.scp" --input "$data/utt2num_frames" --input "$training/feats.scp"
  --input "$training/utt2num_frames" --output "$out/$name.scp" --output "$out/$name.ark"
  --key "${settings[*]}")
. begin.sh "${what[@]}" --force "$force"

LAUNCH_TITLE="i-vectors of $data" "${launch[@]}" "$exp/log/embed.$name.log" \
  python -m sv.bin.embed_ivectors --data "$data" --train "$training" --out "$out" \
  ${settings[@]+"${settings[@]}"}
once mark "${what[@]}"
