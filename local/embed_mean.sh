#!/usr/bin/env bash
# A baseline for stage 6 of any corpus: mean filterbanks, less those of a training set, as vectors,
# in <exp>/embeddings/<name of data>.{ark,scp}; those of a sample of the training set, for
# score_kinds.sh, in <name of training-data>.sample.{ark,scp}.
#
# Usage: embed_mean.sh [options] <data> <training-data> <exp>
set -euo pipefail

sample=                # program: only so many utterances of <data>, spread over the list
cohort=${cohort:-6000} # utterances of the sample of <training-data>; 0: no sample
cepstra=               # program: average cepstra 1 to N instead of filterbanks
deviation=             # program: true: standard deviations as well
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 training=$2 exp=$3
if [ -z "$sample" ] && [ "$cohort" -gt 0 ]; then
  "$0" --force "$force" --cepstra "$cepstra" --deviation "$deviation" --sample "$cohort" \
    "$training" "$training" "$exp"
fi
read -r -a launch <<< "${cmd:-launch}"
name=$(set_name --claim "$exp/embeddings" "$data")${sample:+.sample}
settings=()
hand_on settings sample cepstra deviation
out=$exp/embeddings/$name

what=(--title "embeddings of $data in $exp" --done "$exp/embeddings/.$name.done"
  --input "$data/feats.scp" --input "$data/utt2num_frames" --input "$training/feats.scp"
  --input "$training/utt2num_frames" --output "$out.scp" --output "$out.ark")
[ ${#settings[@]} = 0 ] || what+=(--key "${settings[*]}")
. begin.sh "${what[@]}" --force "$force"

LAUNCH_TITLE="embeddings of $data" "${launch[@]}" "$exp/log/embed.$name.log" \
  python -m sv.bin.embed_mean --data "$data" --center-on "$training" --out "$out" \
  ${settings[@]+"${settings[@]}"}
once mark "${what[@]}"
