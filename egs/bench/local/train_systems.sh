#!/usr/bin/env bash
# Trains, embeds and scores the systems of a claim: the lines of <claim>, "system how settings". how
# is the name of a file of settings, conf/<how>.yaml (aam learns from true speakers), or one of
# baseline, ssps and speakers, which go on from exp/base-<seed>. Complete systems are not run again.
#
# Usage: train_systems.sh [options] <claim>
set -euo pipefail

seed=0    # of the first weights and of the order of training
set=      # settings of all systems, over those of the claim
further="optim.schedule=constant optim.lr=0.0003" # settings of systems that go on from the base
epochs=30 # of systems without labels; those that go on have as many again
last=10   # largest number of epochs to average

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../path.sh"
claim=$1
truth=data/labels/train/utt2spk

while read -r system how settings; do
  case $system in '' | '#'*) continue ;; esac
  exp=exp/$system-$seed
  options=(--config "conf/$how.yaml" --seed "$seed")
  case $how in
    # With labels an item is two utterances of a speaker: twice the epochs are as many updates.
    aam) train.sh "${options[@]}" --labels "$truth" \
      --set "train.epochs=$((2 * epochs)) $settings $set" data/train banks "$exp" ;;
    baseline | ssps | speakers) train_further.sh --system "$how" --ssps "$settings" --seed "$seed" \
      --config conf/simclr.yaml --set "$further train.epochs=$((2 * epochs)) $set" \
      "exp/base-$seed" data/train banks "$exp" ;;
    *) train.sh "${options[@]}" --set "train.epochs=$epochs $settings $set" \
      data/train banks "$exp" ;;
  esac
  average.sh --last "$last" "$exp"
  embed_systems.sh data/test "$exp"
  score.sh data/test "$exp"
done < "$claim"
