#!/usr/bin/env bash
# Stage 4 of v3, for any corpus: by the average of the last networks of a base experiment, a
# voiceprint of each training speaker, in <exp>/voiceprints.{ark,scp}, and clusters of them, in
# <exp>/clusters (`utt2cluster` names speakers there): the best of 5 runs of k-means++ to
# convergence, as published.
#
# Usage: cluster_speakers.sh [options] <data> <labels> <exp>
set -euo pipefail

k=50           # clusters; 50 published for 5,894 speakers and batches of 650
utterances=    # program: of each speaker, at most
seconds=       # program: of each utterance
last=          # program: how many of the last epochs to average
seed=          # program: of the choice of utterances and crops, and of the first centroids
ngpu=${ngpu:-0} # GPUs of this machine: one for the voiceprints, all for the clusters; 0: one if any
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 labels=$2 exp=$3
read -r -a launch <<< "${cmd:-launch}"
export force ngpu nnodes=1
settings=()
hand_on settings utterances seconds seed

average.sh --last "$last" "$exp"
what=(--title "voiceprints by $exp" --done "$exp/.voiceprints.done" --input "$exp/final.pt"
  --input "$data/feats.scp" --input "$data/utt2num_frames" --input "$labels"
  --output "$exp/voiceprints.scp" --output "$exp/voiceprints.ark"
  --key "${settings[*]}")
status=0
once check "${what[@]}" --force "$force" || status=$?
if [ "$status" -eq 0 ]; then
  [ "$ngpu" -eq 0 ] || launch+=(--gpu 1) # a few utterances of each speaker: minutes of one GPU
  LAUNCH_TITLE="voiceprints by $exp" "${launch[@]}" "$exp/log/voiceprints.log" \
    python -m sv.bin.voiceprints --model "$exp/final.pt" --data "$data" --labels "$labels" \
    --out "$exp/voiceprints" ${settings[@]+"${settings[@]}"}
  once mark "${what[@]}"
elif [ "$status" -ne 3 ]; then
  exit 2
fi
cluster.sh --k "$k" --start k-means++ --starts 5 --iterations 300 --converge true --seed "$seed" \
  "$exp/voiceprints.scp" "$exp/clusters"
