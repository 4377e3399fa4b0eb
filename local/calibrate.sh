#!/usr/bin/env bash
# Stage 7 for any corpus, after score.sh: calibrate the scores of an experiment, or fuse those of
# several, to log-likelihood ratios in <out>/scores/<name of data>. What is learned comes from the
# trials of a development set, whose speakers are not those of the test set.
#
# Usage: calibrate.sh [options] <dev-data> <data> <out> <exp> ...
set -euo pipefail

dev_trials=       # FILE: labelled trial list, if not <dev-data>/trials
p_target=         # program: prior at which the ratios should be best
durations=false   # let the durations of utt2dur count as a measure of quality
magnitudes=       # DIR: let the magnitudes of the embeddings of this experiment count
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
dev=$1 data=$2 out=$3
shift 3
dev_name=$(basename -- "$dev")
name=$(basename -- "$data")
dev_trials=${dev_trials:-$dev/trials}

inputs=(--input "$dev_trials") dev_scores=() scores=() dev_quality=() quality=()
if $durations; then
  dev_quality+=("$dev/utt2dur") quality+=("$data/utt2dur")
  inputs+=(--input "$dev/utt2dur" --input "$data/utt2dur")
fi
for exp in "$@"; do
  dev_scores+=("$exp/scores/$dev_name") scores+=("$exp/scores/$name")
  inputs+=(--input "$exp/scores/$dev_name" --input "$exp/scores/$name")
done
if [ -n "$magnitudes" ]; then
  embeddings=$magnitudes/embeddings
  dev_quality+=("scp:$embeddings/$dev_name.scp") quality+=("scp:$embeddings/$name.scp")
  inputs+=(--input "$embeddings/$dev_name.ark" --input "$embeddings/$name.ark")
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
