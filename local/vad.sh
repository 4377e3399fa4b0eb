#!/usr/bin/env bash
# After stage 0, on request: utterances of 2 to 20 s in long recordings, by voice activity detection.
# <recordings> is what prepare_folder.sh made: train, and test and labels if there are any. The
# script writes <data>/train with Kaldi's segments, and its labels. Test sets stay as they are: they
# are linked.
#
# Usage: vad.sh [options] <recordings> <data>
set -euo pipefail

vad=                  # program: energy, or none to take everything
channel=              # program: a channel from 0, or each (all, apart); default: the mean of all
decoder=              # program: k2 or viterbi, which find the same path
shortest=             # program: seconds of the shortest utterance
longest=              # program: seconds of the longest utterance
pause=                # program: seconds of the longest pause in an utterance
rttm=                 # FILE|program: who speaks when (of a diariser), in place of --vad
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
recordings=$1 data=$2
read -r -a launch <<< "${cmd:-launch}"

options=() labels=()
hand_on options vad channel decoder shortest longest pause rttm
what=(--title "utterances of $recordings" --done "$data/.segment.done"
  --input "$recordings/train" --output "$data/train/segments" --key "${options[*]}")
[ -z "$rttm" ] || what+=(--input "$rttm")
. begin.sh "${what[@]}" --force "$force"
[ ! -e "$recordings/labels/train/utt2spk" ] || labels=(--input-labels "$recordings/labels/train")
LAUNCH_TITLE="utterances of $recordings" "${launch[@]}" "$data/log/segment.log" \
  python -m sv.bin.segment "$recordings/train" --out "$data/train" --labels "$data/labels/train" \
  ${labels[@]+"${labels[@]}"} ${options[@]+"${options[@]}"}
grep -h '^[^ ]*: ' "$data/log/segment.log" | grep -v '^segment: ' || true
for part in test labels/test; do
  rm -rf "${data:?}/$part"
  [ ! -e "$recordings/$part" ] || { mkdir -p "$data/labels" && ln -srfn "$recordings/$part" "$data/$part"; }
done
validate_data_dir --no-feats --no-audio "$data/train"
once mark "${what[@]}"
