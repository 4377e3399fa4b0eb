#!/usr/bin/env bash
# Stage 2 for any corpus with true speakers: adverse trials. For each level a data directory
# <data>_<level>db with the same trials, whose test side another person speaks over, and its features.
# Interferers are never of a trial's own speakers; they are the same at every level.
#
# Usage: mix_trials.sh [options] <data> <audio> <fbank>
set -euo pipefail

levels="10 5 0"      # levels of the speaker over the other person, dB
sides=               # program: test or both: which sides of a trial are mixed
trials=              # FILE: trial list, if not <data>/trials
seed=                # program: another one draws other interferers
nj=${nj:-2}          # parallel jobs
num_mel_bins=        # program: mel bands, as in stage 1
preset=              # program: filterbank, as in stage 1
force=${force:-false} # run it even if complete

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

export nj force
settings=()
hand_on settings sides seed

for level in $levels; do
  set=${name}_${level}db
  what=(--title "adverse trials at $level dB" --done "$audio/.$set.done" --input "$data/wav.scp"
    --input "$labels/$name/utt2spk" --input "${trials:-$data/trials}"
    --output "$data"_"$level"db/trials --key "$level ${settings[*]}")
  once "${what[@]}" --force "$force" -- python -m sv.bin.mix_trials --data "$data" \
    --labels "$labels/$name" --trials "${trials:-$data/trials}" --snr "$level" \
    ${settings[@]+"${settings[@]}"} --audio "$audio/$set" --out "${data}_${level}db" --out-labels "$labels/$set"
  extract_features.sh --num-mel-bins "$num_mel_bins" --preset "$preset" \
    "${data}_${level}db" "$fbank/$set"
done
