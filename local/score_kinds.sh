#!/usr/bin/env bash
# Stage 7 of the recipes: the cosines of each system, and beside them the scores that a paper would
# give too and that need no labels, as systems of their own:
#   <exp>/centred/scores/<name>   the mean of the training set is subtracted
#   <exp>/whitened/scores/<name>  and all directions of the embedding count alike
#   <exp>/as-norm/scores/<name>   the cosines, normalised by a cohort of training utterances
# The training set is the sample that embed.sh --train has embedded; a system without one has cosines
# only. All settings are fixed before a score is seen; docs/scoring.md has them.
#
# Usage: score_kinds.sh [options] <data> <training-data> <exp> ...
set -euo pipefail

trials=           # FILE: trial list, if not <data>/trials
name=             # of the score files, where a set has several lists
crops=            # N: score N crops of each utterance
utt2cluster=      # FILE: the cohort are the means of these clusters; no labels
cohort=${cohort:-6000} # utterances of the sample; 0: cosines only
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 training=$2
shift 2
export force
of=$name

for exp in "$@"; do
  # All kinds have the name of the cosines, by which the report finds them.
  folder=$exp${crops:+-crops$crops}
  name=${of:-$(set_name --claim "$folder/scores" "$data")}
  given=()
  hand_on given trials name crops
  score.sh ${given[@]+"${given[@]}"} "$data" "$exp"
  sample=$exp/embeddings/$(set_name "$exp/embeddings" "$training").sample.scp
  if [ "$cohort" -eq 0 ] || [ ! -e "$sample" ]; then continue; fi
  kind() { # name, options of score.sh
    score.sh ${given[@]+"${given[@]}"} --sample true --out "$folder/$1" "${@:2}" \
      "$data" "$exp"
  }
  # Centring is whitening whose covariance is shrunk to equal variances: one file for the model.
  kind centred --whiten "$training" --whiten-kind zca --whiten-shrinkage 1
  kind whitened --whiten "$training"
  # A tenth of the cohort, 300 at most: with all of it, AS-norm would be S-norm.
  if [ -n "$utt2cluster" ]; then
    members=$(awk '!($2 in seen) { seen[$2]; n++ } END { print n + 0 }' "$utt2cluster")
  else
    members=$(wc -l < "$sample")
  fi
  top=$((members < 20 ? 2 : members > 3000 ? 300 : members / 10))
  kind as-norm --norm as --cohort "$training" --top-n "$top" --cohort-size 0 \
    --utt2cluster "$utt2cluster"
done
