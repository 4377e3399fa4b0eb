#!/usr/bin/env bash
# Stage 7 for any corpus, after score.sh: calibrate the scores of an experiment, or fuse those of
# several, to log-likelihood ratios in <out>/scores/<name of data>. What is learned comes from the
# trials of a development set, whose speakers are not those of the test set.
#
# Usage: calibrate.sh [options] <dev-data> <data> <out> <exp> ...
set -euo pipefail

name=             # of the scores of <data>, where it has several lists; default: by set_name
dev_trials=       # FILE: labelled trial list, if not <dev-data>/trials
p_target=         # program: prior at which the ratios should be best
durations=false   # let the durations of utt2dur count as a measure of quality
magnitudes=       # DIR: let the magnitudes of the embeddings of this experiment count
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
dev=$1 data=$2 out=$3
shift 3
of=$name
name=${of:-$(set_name --claim "$out/scores" "$data")}
dev_trials=${dev_trials:-$dev/trials}

inputs=(--input "$dev_trials") dev_scores=() scores=() dev_quality=() quality=()
if $durations; then
  dev_quality+=("$dev/utt2dur") quality+=("$data/utt2dur")
  inputs+=(--input "$dev/utt2dur" --input "$data/utt2dur")
fi
for exp in "$@"; do
  dev_scores+=("$exp/scores/$(set_name "$exp/scores" "$dev")")
  scores+=("$exp/scores/${of:-$(set_name "$exp/scores" "$data")}")
  inputs+=(--input "${dev_scores[-1]}" --input "${scores[-1]}")
done
if [ -n "$magnitudes" ]; then
  embeddings=$magnitudes/embeddings
  of_dev=$embeddings/$(set_name "$embeddings" "$dev") of=$embeddings/$(set_name "$embeddings" "$data")
  dev_quality+=("scp:$of_dev.scp") quality+=("scp:$of.scp")
  inputs+=(--input "$of_dev.ark" --input "$of.ark")
fi
measures=()
[ ${#quality[@]} -eq 0 ] || measures=(--dev-quality "${dev_quality[@]}" --quality "${quality[@]}")
settings=()
hand_on settings p_target
model=$out/calibration.safetensors

exec once --title "calibrated scores in $out" --done "$out/scores/$name.done" "${inputs[@]}" \
  --output "$out/scores/$name" --output "$model" --force "$force" -- \
  python -m sv.bin.calibrate --dev-trials "$dev_trials" --dev-scores "${dev_scores[@]}" \
  ${settings[@]+"${settings[@]}"} --model "$model" --scores "${scores[@]}" \
  ${measures[@]+"${measures[@]}"} --output "$out/scores/$name"
