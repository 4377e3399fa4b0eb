#!/usr/bin/env bash
# Embeds and scores what needs no training of a network: means of filterbanks, means of cepstra and
# unsupervised i-vectors, as they are and whitened on the training set (exp/<floor>-whitened), and
# the encoder of exp/base-<seed> before its training.
#
# Usage: floors.sh [options]
set -euo pipefail

seed=0 # of the base whose first weights are the untrained encoder

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../path.sh"
for part in train test; do
  embed_mean.sh "data/$part" data/train exp/mean-filterbank
  embed_mean.sh --cepstra 23 "data/$part" data/train exp/mean-cepstra
done
embed_ivectors.sh data/test data/train exp/ivector
for floor in mean-filterbank mean-cepstra ivector; do
  score.sh data/test "exp/$floor"
  score.sh --whiten data/train --out "exp/$floor-whitened" data/test "exp/$floor"
done
embed.sh "exp/base-$seed/checkpoints/epoch_0000.pt" data/test "exp/untrained"
score.sh data/test exp/untrained
