#!/usr/bin/env bash
# End of stage 1 with --dev-speakers, for any corpus: <out>/dev, a development set of speakers of the
# training set with trials, and <out>/train, the training set without them.
#
# Usage: hold_out.sh [options] <data> <out>
set -euo pipefail

speakers=  # program: number of speakers to hold out
labels=    # FILE: utt2spk, or utt2cluster of stage 4 for pseudo-speakers; default: true speakers in
           # labels/ beside <data>
trials=    # program: number of trials, at most
seed=      # program: of the choice
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 out=$2
labels=${labels:-$(dirname -- "$data")/labels/$(basename -- "$data")/utt2spk}
if [ ! -e "$labels" ]; then
  echo "hold_out.sh: $labels: there are no speakers to hold out: give --labels FILE (of a recipe:" \
    "--dev-labels), such as the utt2cluster of stage 4 of an earlier experiment" >&2
  exit 2
fi
case ${labels##*/} in
  utt2cluster*) kind=--utt2cluster ;;
  *) kind=--utt2spk ;;
esac
settings=()
hand_on settings speakers trials seed
what=(--title "development set $out" --done "$out/.held_out.done" --input "$labels"
  --output "$out/dev/trials" --output "$out/train/feats.scp" --output "$out/held_out.json"
  --key "${settings[*]}")
for file in utt2spk feats.scp utt2num_frames wav_ark.scp; do
  [ ! -e "$data/$file" ] || what+=(--input "$data/$file")
done
exec once "${what[@]}" --force "$force" -- python -m sv.bin.hold_out --data "$data" \
  "$kind" "$labels" ${settings[@]+"${settings[@]}"} --out "$out"
