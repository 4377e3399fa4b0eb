#!/usr/bin/env bash
# Stage 2 for any corpus: banks of noises and room responses for augmentation, from folders of
# audio (such as MUSAN and RIRS_NOISES) or generated.
#
# Usage: make_banks.sh [options] <banks>
set -euo pipefail

noise=generated  # DIR|generated|none: noises and music
rir=generated    # DIR|generated|none: room impulse responses
seed=0           # of what is generated
num_mel_bins=80  # mel bands, as in stage 1
wave=false       # keep waveforms too, for data.domain: wave
force=false      # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
banks=$1
read -r -a launch <<< "${cmd:-launch}"

key="$noise $rir $seed $num_mel_bins"
[ "$wave" = false ] || key+=" wave"
what=(--title "augmentation banks" --done "$banks/.banks.done" --key "$key")
for option in noise rir; do
  folder=${!option}
  [[ $folder = generated || $folder = none ]] && continue
  if [ ! -e "$folder" ]; then
    echo "make_banks.sh: $folder: there is no such folder; check --$option" >&2
    exit 2
  fi
  what+=(--input "$folder")
done
. begin.sh "${what[@]}" --force "$force"

LAUNCH_TITLE="augmentation banks" "${launch[@]}" "$banks/log/banks.log" \
  python -m sv.bin.make_banks --noise "$noise" --rir "$rir" --seed "$seed" --out "$banks" \
  --num-mel-bins "$num_mel_bins" --wave "$wave"
once mark "${what[@]}"
