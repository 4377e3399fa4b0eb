#!/usr/bin/env bash
# Stage 0 for a folder of audio of any shape: data directories <data>/train and, with trials,
# <data>/test; true labels, where the folder has them, apart in <data>/labels.
#
# Usage: prepare_folder.sh [options] <corpus> <data>
set -euo pipefail

trials=               # FILE|auto|none|program: trial list; auto is <corpus>/trials if it exists
channel=              # program: which channel of the audio, from 0; default: the mean of all
layout=               # program: flat, speaker/utt or speaker/session/utt; else by their depth
group_speakers=false  # one speaker name in two sub-corpora means two people
max_bad=              # program: share of unreadable files that is left out without stopping
simulate_channels=    # easy (or true) or hard: give every utterance a recording condition of its own
session_size=         # program: with hard conditions, utterances of a folder that share one
noise=                # DIR|generated|none|program: noises of these conditions
rir=                  # DIR|generated|none|program: room responses of these conditions
nj=${nj:-2}           # jobs that simulate conditions
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
corpus=$1 data=$2
export nj force
if [ -z "$corpus" ]; then
  echo "give --corpus, the folder of audio" >&2
  exit 2
fi
if [ ! -e "$corpus" ]; then
  echo "prepare_folder.sh: $corpus: there is no such corpus folder; check --corpus" >&2
  exit 2
fi

# Conditions are functions of names: the simulated copy lies beside the data directories.
case $simulate_channels in
  '' | false) simulate_channels= ;;
  true | easy | hard) ;;
  *) echo "prepare_folder.sh: --simulate-channels takes false, easy (or true) or hard," \
    "not '$simulate_channels'" >&2; exit 2 ;;
esac
if [ -n "$simulate_channels" ]; then
  simulated=$(dirname -- "$data")/corpus
  hard=() # of easy channels no option is given, so copies of earlier versions stay complete
  if [ "$simulate_channels" = hard ]; then
    hard=(--channels hard)
    hand_on hard session_size
  fi
  simulate_channels.sh --trials "$trials" --noise "$noise" --rir "$rir" --max-bad "$max_bad" \
    --channel "$channel" ${hard[@]+"${hard[@]}"} "$corpus" "$simulated"
  corpus=$simulated
  channel= # the copy has one
  [ "$trials" = none ] || trials=auto
fi

options=()
hand_on options trials channel layout max_bad
[ "$group_speakers" = false ] || options+=(--group-speakers)
what=(--title "data of $corpus" --done "$data/.prepare.done" --input "$corpus"
  --output "$data/train/wav.scp" --key "${options[*]}")
[ "${trials:-auto}" != auto ] || trials=$corpus/trials
[ ! -f "$trials" ] || what+=(--input "$trials" --output "$data/test/trials")
exec once --atomic "${what[@]}" --force "$force" -- \
  python -m sv.bin.prepare_folder --corpus "$corpus" ${options[@]+"${options[@]}"} --out "$data"
