#!/usr/bin/env bash
# Stage 0 for a folder of audio of any shape: data directories <data>/train and, with trials,
# <data>/test; true labels, where the folder has them, apart in <data>/labels.
#
# Usage: prepare_folder.sh [options] <corpus> <data>
set -euo pipefail

trials=auto           # FILE|auto|none: trial list; auto is <corpus>/trials if it exists
layout=auto           # flat, speaker/utt or speaker/session/utt; auto is by the depth of files
group_speakers=false  # one speaker name in two sub-corpora means two people
max_bad=0.01          # share of unreadable files that is left out without stopping
channel=              # which channel of the audio, from 0; empty: the mean of all
simulate_channels=false  # give every utterance a recording condition of its own
noise=generated       # DIR|generated|none: noises of these conditions
rir=generated         # DIR|generated|none: room responses of these conditions
nj=2                  # jobs that simulate conditions
force=false           # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
corpus=$1 data=$2
if [ -z "$corpus" ]; then
  echo "give --corpus, the folder of audio" >&2
  exit 2
fi
if [ ! -e "$corpus" ]; then
  echo "prepare_folder.sh: $corpus: there is no such corpus folder; check --corpus" >&2
  exit 2
fi

# Conditions are functions of names: the simulated copy lies beside the data directories.
if [ "$simulate_channels" = true ]; then
  simulated=$(dirname -- "$data")/corpus
  simulate_channels.sh --trials "$trials" --noise "$noise" --rir "$rir" --nj "$nj" \
    --max-bad "$max_bad" --channel "$channel" --force "$force" "$corpus" "$simulated"
  channel= # the copy has one
  corpus=$simulated
  [ "$trials" = none ] || trials=auto
fi

options=(--trials "$trials" --layout "$layout" --max-bad "$max_bad")
[ -z "$channel" ] || options+=(--channel "$channel")
[ "$group_speakers" = false ] || options+=(--group-speakers)
what=(--title "data of $corpus" --done "$data/.prepare.done" --input "$corpus"
  --output "$data/train/wav.scp" --key "${options[*]}")
[ "$trials" != auto ] || trials=$corpus/trials
[ ! -f "$trials" ] || what+=(--input "$trials" --output "$data/test/trials")
exec once --atomic "${what[@]}" --force "$force" -- \
  python -m sv.bin.prepare_folder --corpus "$corpus" "${options[@]}" --out "$data"
