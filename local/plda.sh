#!/usr/bin/env bash
# Before stage 7 for any corpus: PLDA of a training set, in <exp>/plda/<name of data>.safetensors.
# Give the labels: clusters of stage 4, or (in supervised recipes only) true speakers.
#
# Usage: plda.sh [options] <data> <exp>
set -euo pipefail

utt2cluster=  # FILE: pseudo-labels
utt2spk=      # FILE: true speakers; every result made with them is marked
lda_dim=      # program: dimensions kept; below the number of clusters or speakers
iterations=   # program: of EM
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 exp=$2
name=$(set_name "$exp/embeddings" "$data")
embeddings=$exp/embeddings/$name
out=$exp/plda/$name.safetensors

if [ -n "$utt2cluster" ] && [ -z "$utt2spk" ]; then
  kind=--utt2cluster labels=$utt2cluster
elif [ -n "$utt2spk" ] && [ -z "$utt2cluster" ]; then
  kind=--utt2spk labels=$utt2spk
else
  echo "plda.sh: give one of --utt2cluster and --utt2spk" >&2
  exit 2
fi

settings=()
hand_on settings lda_dim iterations
exec once --title "PLDA of $data in $exp" --done "$exp/plda/.$name.done" --input "$labels" \
  --input "$embeddings.scp" --input "$embeddings.ark" --output "$out" --force "$force" -- \
  python -m sv.bin.plda --embeddings "scp:$embeddings.scp" "$kind" "$labels" \
  ${settings[@]+"${settings[@]}"} --out "$out"
