#!/usr/bin/env bash
# Stage 4 of v5 for any corpus: pseudo-labels, which are clusters of the embeddings of the training
# set by an experiment, in <exp>/clusters. Everything else is as in cluster.sh.
#
# Usage: cluster_round.sh [options] <data> <exp>
set -euo pipefail

k=auto           # clusters of k-means, or auto: what a silhouette of held-out utterances says
merge=           # then merge them to so many, about the speakers expected; nothing: do not
seed=            # program: of the first centroids
ngpu=${ngpu:-0}  # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=${nnodes:-1} # machines with --ngpu GPUs each
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 exp=$2
export ngpu nnodes force
embeddings=$exp/embeddings/$(set_name "$exp/embeddings" "$data").scp
if [ ! -e "$embeddings" ]; then
  echo "cluster_round.sh: $exp has no embeddings of $data: they are made after the training of" \
    "$exp, the base in stage 3, a round in its stage 6" >&2
  exit 2
fi
exec cluster.sh --k "$k" --merge "$merge" --start k-means++ --seed "$seed" \
  --labels "$(dirname -- "$data")/labels/$(basename -- "$data")/utt2spk" "$embeddings" "$exp/clusters"
