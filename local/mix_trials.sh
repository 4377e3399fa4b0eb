#!/usr/bin/env bash
# Stage 2 for any corpus with true speakers: adverse trials. For each level a data directory
# <data>_<level>db with the same trials, whose test side another person speaks over, and its features.
# Interferers are never of a trial's own speakers; they are the same at every level.
#
# Usage: mix_trials.sh [options] <data> <audio> <fbank>
set -euo pipefail

levels="10 5 0"      # levels of the speaker over the other person, dB
sides="test"         # test or both: which sides of a trial are mixed
trials=              # FILE: trial list, if not <data>/trials
seed=0               # another one draws other interferers
nj=2                 # parallel jobs
num_mel_bins=80      # mel bands, as in stage 1
force=false          # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 audio=$2 fbank=$3
labels=$(dirname -- "$data")/labels
name=$(basename -- "$data")
if [ ! -e "$labels/$name/utt2spk" ]; then
  echo "mix_trials.sh: $labels/$name/utt2spk is missing: adverse trials need true speakers, so" \
    "that the person who interferes is somebody else; a recipe's --levels '' leaves them out" >&2
  exit 2
fi

for level in $levels; do
  set=${name}_${level}db
  what=(--title "adverse trials at $level dB" --done "$audio/.$set.done" --input "$data/wav.scp"
    --input "$labels/$name/utt2spk" --input "${trials:-$data/trials}"
    --output "$data"_"$level"db/trials --key "$level $sides $seed")
  once "${what[@]}" --force "$force" -- python -m sv.bin.mix_trials --data "$data" \
    --labels "$labels/$name" --trials "${trials:-$data/trials}" --snr "$level" --sides "$sides" \
    --seed "$seed" --audio "$audio/$set" --out "${data}_${level}db" --out-labels "$labels/$set"
  extract_features.sh --nj "$nj" --num-mel-bins "$num_mel_bins" --force "$force" \
    "${data}_${level}db" "$fbank/$set"
done
