#!/usr/bin/env bash
# First half of stage 2 for any corpus: MUSAN and RIRS_NOISES, described by lhotse, become the
# lists <data>/musan and <data>/rirs, which make_banks.sh takes.
#
# Usage: prepare_noises.sh [options] <musan> <rirs> <data>
set -euo pipefail

babble=          # program: musan or training: babble of MUSAN's speech, or of other training utterances
rir_parts=       # program: of sim_rir and real_rir: simulated or measured rooms
max_rooms=       # program: so many, spread evenly over all of them; 0 is all
download=false   # fetch what is not there from openslr.org (11 GB and 1.3 GB)
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
musan=$1 rirs=$2 data=$3
babbling=() rooms=()
hand_on babbling babble
hand_on rooms max_rooms
[ -z "$rir_parts" ] || read -r -a parts <<< "--parts $rir_parts"

prepare() { # name, corpus, further options
  local name=$1 corpus=$2
  shift 2
  if [ "$download" = false ] && [ ! -e "$corpus" ]; then
    echo "prepare_noises.sh: $corpus: there is no such folder; check --$name, or --download true" >&2
    exit 2
  fi
  # The corpora do not change: their names count, not the dates of 60,000 files.
  once --title "$name of $corpus" --done "$data/.$name.done" --output "$data/$name/wav.scp" \
    --key "$corpus $*" --force "$force" -- python -m "sv.bin.prepare_$name" --corpus "$corpus" \
    --out "$data/$name" --download "$download" "$@"
}

prepare musan "$musan" ${babbling[@]+"${babbling[@]}"}
prepare rirs "$rirs" ${parts[@]+"${parts[@]}"} ${rooms[@]+"${rooms[@]}"}
