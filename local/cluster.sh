#!/usr/bin/env bash
# Stage 4 for any corpus: cluster the embeddings of a training set without labels. <out> gets
# utt2cluster, centroids.{ark,scp}, sizes, sizes.png and cluster.json; the histogram of the sizes
# is at the end of <out>/log/cluster.log (cluster.1.log with --nnodes).
#
# Usage: cluster.sh [options] <embeddings.scp> <out>
set -euo pipefail

k=auto           # clusters of k-means, or auto: what a silhouette of held-out utterances says
merge=           # then merge them to so many, about the speakers expected; nothing: do not
linkage=average  # how clusters are compared for merging: average or ward
iterations=10    # of k-means
converge=false   # stop before --iterations as soon as no centroid moves
start=random     # first centroids: random or k-means++
starts=1         # runs from different first centroids; the best counts
seed=0           # of the first centroids
labels=          # FILE: utt2spk with true speakers; if it is there, adds oracle figures; changes no
                 # cluster
ngpu=0           # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=1         # machines with --ngpu GPUs each
processes=       # processes on each machine, if not one for each GPU
force=false      # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
embeddings=$1 out=$2
read -r -a launch <<< "${cmd:-launch}"

what=(--title "clusters of $embeddings" --done "$out/.cluster.done" --input "$embeddings"
  --output "$out/utt2cluster" --output "$out/centroids.scp" --output "$out/centroids.ark"
  --output "$out/sizes" --output "$out/sizes.png" --output "$out/cluster.json"
  --key "$k $merge $linkage $iterations $converge $start $starts $seed")
[ ! -e "${embeddings%.scp}.ark" ] || what+=(--input "${embeddings%.scp}.ark")
options=(--k "$k" --linkage "$linkage" --iterations "$iterations" --converge "$converge"
  --start "$start" --starts "$starts" --seed "$seed")
[ -z "$merge" ] || options+=(--merge "$merge")
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
