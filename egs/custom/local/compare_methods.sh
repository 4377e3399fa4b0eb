#!/usr/bin/env bash
# Trains methods of ../v1/conf with one encoder, one size of batch and one number of epochs, so with
# the same number of updates. The table of ../v1/exp/methods.md has their error rates, seconds a
# step and memory. Stages 0 to 2 of ../v1/run.sh must be complete. Every training goes on where it
# was stopped, and complete ones are not run again.
#
# Usage: compare_methods.sh [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/corpus.sh"
methods=all # names of files in ../v1/conf, as "simclr dino"; all: every one
seeds=0     # seeds of each method, as "0 1 2"
set="model.channels=64 model.pooled_channels=192 train.epochs=20 train.batch_size=64" # settings of all

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../path.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../v1"

if [ "$methods" = all ]; then methods=$(cd conf && printf '%s ' *.yaml | sed 's/\.yaml//g'); fi
experiments=()
for method in $methods; do
  for seed in $seeds; do
    name=$method-$seed
    ./run.sh --stage 3 --data own --corpus "$corpus" --noise "$noise" --rir "$rir" \
      --config "conf/$method.yaml" --set "$set" --seed "$seed" --last "$last" --name "$name"
    experiments+=("exp/$name")
  done
done
python -m sv.bin.compare --out exp/methods.md --exp "${experiments[@]}"
