#!/usr/bin/env bash
# Stage 2 for any corpus: banks of noises and room responses for augmentation, from folders of
# audio (such as MUSAN and RIRS_NOISES) or generated.
#
# Usage: make_banks.sh [options] <banks>
set -euo pipefail

noise=                 # DIR|generated|none|program: noises and music
rir=                   # DIR|generated|none|program: room impulse responses
seed=                  # program: of what is generated
num_mel_bins=          # program: mel bands, as in stage 1
preset=                # program: filterbank, as in stage 1
room_seconds=          # program: length kept of each room response; 0: all of it
mixed_babble=          # program: clips of babble that are summed once, for readers; 0: none
wave=false             # keep waveforms too, for data.domain: wave
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
banks=$1
read -r -a launch <<< "${cmd:-launch}"

settings=()
hand_on settings noise rir seed num_mel_bins preset room_seconds mixed_babble
key="${settings[*]}"
[ "$wave" = false ] || key+=" wave"
what=(--title "augmentation banks" --done "$banks/.banks.done" --key "$key")
for option in noise rir; do
  folder=${!option}
  case $folder in '' | generated | none) continue ;; esac
  if [ ! -e "$folder" ]; then
    echo "make_banks.sh: $folder: there is no such folder; check --$option" >&2
    exit 2
  fi
  what+=(--input "$folder")
done
. begin.sh "${what[@]}" --force "$force"

LAUNCH_TITLE="augmentation banks" "${launch[@]}" "$banks/log/banks.log" \
  python -m sv.bin.make_banks ${settings[@]+"${settings[@]}"} --wave "$wave" --out "$banks"
once mark "${what[@]}"
