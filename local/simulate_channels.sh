#!/usr/bin/env bash
# Before stage 0, on request: a copy of a folder of audio in which every utterance has a recording
# condition of its own, drawn from its name: room, band and noise, and with --channels hard also a
# device, a line and a codec. Results must say so.
#
# Usage: simulate_channels.sh [options] <corpus> <out>
set -euo pipefail

trials=          # FILE|auto|none|program: trial list; auto is <corpus>/trials if it exists
noise=           # DIR|generated|none|program: noises
rir=             # DIR|generated|none|program: room responses
max_bad=         # program: share of files in formats that are not read, which are left out
channel=         # program: which channel of the audio, from 0; default: the mean of all
channels=        # program: easy or hard: what conditions differ in
session_size=    # program: with hard channels, utterances that share a device and a line
seed=            # program: another one draws other conditions
nj=${nj:-2}      # jobs
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
corpus=$1 out=$2
read -r -a launch <<< "${cmd:-launch}"
if [ ! -e "$corpus" ]; then
  echo "simulate_channels.sh: $corpus: there is no such corpus folder; check --corpus" >&2
  exit 2
fi
[ "$noise" != none ] || noise=
[ "$rir" != none ] || rir=
[ "${trials:-auto}" != auto ] || trials=$corpus/trials
options=() limits=()
hand_on options channels session_size noise rir seed channel
hand_on limits max_bad
[ ! -f "$trials" ] || options+=(--trials "$trials")

what=(--title "simulated channels of $corpus" --done "$out/.channels.done" --input "$corpus"
  --key "${options[*]}")
. begin.sh "${what[@]}" --force "$force"
# Another seed or other noises make other files of the same names.
if [ -e "$out/.options" ] && [[ $force = true || $(cat "$out/.options") != "${options[*]}" ]]; then
  find "$out" -mindepth 1 -maxdepth 1 ! -name '.channels.done*' -exec rm -rf -- {} +
fi
mkdir -p "$out"
echo "${options[*]}" > "$out/.options"
LAUNCH_TITLE="simulated channels" "${launch[@]}" "JOB=1:$nj" "$out/.log/channels.JOB.log" \
  python -m sv.bin.simulate_channels --corpus "$corpus" --out "$out" ${options[@]+"${options[@]}"} \
  ${limits[@]+"${limits[@]}"} --job JOB --num-jobs "$nj"
once mark "${what[@]}"
