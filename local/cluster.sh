#!/usr/bin/env bash
# Stage 4 for any corpus: cluster the embeddings of a training set without labels. <out> gets
# utt2cluster, centroids.{ark,scp}, sizes, sizes.png and cluster.json; the histogram of the sizes
# is at the end of <out>/log/cluster.log (cluster.1.log with --nnodes).
#
# Usage: cluster.sh [options] <embeddings.scp> <out>
set -euo pipefail

k=auto           # clusters of k-means, or auto: what a silhouette of held-out utterances says
merge=           # then merge them to so many, about the speakers expected; nothing: do not
linkage=         # program: how clusters are compared for merging: average or ward
iterations=      # program: of k-means
converge=        # program: stop before --iterations as soon as no centroid moves, true or false
start=           # program: first centroids: random or k-means++
starts=          # program: runs from different first centroids; the best counts
seed=            # program: of the first centroids
labels=          # FILE: utt2spk with true speakers; if it is there, adds oracle figures; changes no
                 # cluster
ngpu=${ngpu:-0}  # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=${nnodes:-1} # machines with --ngpu GPUs each
processes=       # processes on each machine, if not one for each GPU
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
embeddings=$1 out=$2
read -r -a launch <<< "${cmd:-launch}"

options=(--k "$k")
hand_on options merge linkage iterations converge start starts seed
what=(--title "clusters of $embeddings" --done "$out/.cluster.done" --input "$embeddings"
  --output "$out/utt2cluster" --output "$out/centroids.scp" --output "$out/centroids.ark"
  --output "$out/sizes" --output "$out/sizes.png" --output "$out/cluster.json"
  --key "${options[*]}")
[ ! -e "${embeddings%.scp}.ark" ] || what+=(--input "${embeddings%.scp}.ark")
if [ -e "$labels" ]; then
  what+=(--input "$labels")
  options+=(--labels "$labels")
fi
. begin.sh "${what[@]}" --force "$force"

. in_processes.sh
in_processes sv.bin.cluster "$out" cluster
LAUNCH_TITLE="clusters of $embeddings" "${launch[@]}" "${job[@]}" \
  --embeddings "scp:$embeddings" --out "$out" "${options[@]}"
once mark "${what[@]}"
