#!/usr/bin/env bash
# Rounds of pseudo-labels on the mini corpus: a base without labels, clusters of its embeddings,
# training on the clusters with a gate for wrong ones; then the same again with the new network.
#
# Usage: run.sh [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/mini/local/corpus.sh" # options, stages 0-2
base=               # DIR: trained experiment of v1 or v2 to begin with; default: stage 3 trains one
base_config=../v1/conf/simclr.yaml # FILE: settings of that
config=conf/aam.yaml # FILE: settings of a round
further=            # settings over those of a round, for the rounds alone: "method.gate_start=3"
rounds=3            # how often to cluster and to train
epochs=20           # of each round
gate=               # none, fixed (LGL), gaussians (DLG); default: as the settings say
k=192                 # clusters of k-means, or auto
merge=80              # then merged to so many; published: 7,500 for 5,994 speakers
large=5             # epochs with a large margin and longer crops after the last round; 0: none
large_set="method.margin=0.5 data.crop_seconds=3.0" # settings of these epochs
name=               # the experiments are exp/<name>{base,round1,round2,...,large}

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
[ "$wave" = false ] || set="$set data.domain=wave"
exp=exp/${name:-$seed-} from_user=$base
from=${base:-${exp}base} systems=("${base:-${exp}base}")
how=(--config "$config" --set "$set $further" --epochs "$epochs" --large-set "$large_set")
how+=(--gate "$gate" --last "$last" --seed "$seed")
if stage 0 "data: speak the corpus, write data directories"; then make_data; fi
if stage 1 "features: 80-dimensional filterbanks"; then make_features; hold_out; fi
if stage 2 "augmentation banks: generated noises and room responses"; then make_augmentation; fi
if stage 3 "pretrain the base, without labels; embed the training set"; then
  [ -n "$from_user" ] || train.sh --config "$base_config" --set "$set" --seed "$seed" \
    "$train" banks "$from"
  [ -n "$from_user" ] || average.sh --last "$last" "$from"
  embed_systems.sh "$train" "$from"
fi
for ((round = 1; round <= rounds; round++)); do
  if stage 4 "round $round: cluster the training set"; then
    cluster_round.sh --k "$k" --merge "$merge" --seed "$seed" "$train" "$from"
  fi
  if stage 5 "round $round: train on the clusters"; then
    train_round.sh "${how[@]}" --round "$round" --large "$((round == rounds ? large : 0))" \
      "$from" "$train" banks "${exp}round$round"
  fi
  from=${exp}round$round systems=("$from" "${systems[@]}")
  if stage 6 "round $round: embed the training set" && [ "$round" -lt "$rounds" ]; then
    embed_systems.sh "$train" "$from"
  fi
done
[ "$large" -eq 0 ] || systems=("$from-large" "${systems[@]}") last=$((last < large ? last : large))
if stage 6 "embed the test set"; then embed_systems.sh --train "$train" data/test "${systems[@]}"; fi
if stage 7 "score the trials"; then score_kinds.sh data/test "$train" "${systems[@]}"; fi
if stage 8 "report"; then report.sh --results exp/RESULTS.md data/test "${systems[@]}"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
