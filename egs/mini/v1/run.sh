#!/usr/bin/env bash
# SimCLR on the mini corpus: synthetic speech, no labels, two CPU cores, minutes.
#
# Usage: run.sh [options]
set -euo pipefail

stage=0                  # first stage to run
stop_stage=8             # last stage to run
nj=2                     # parallel jobs
config=conf/simclr.yaml  # FILE: settings of model, loss and training
set=                     # settings over those of --config: "optim.lr=0.0005 train.epochs=20"
seed=0                   # of the first weights and of the order of training
last=10                  # epochs to average for the final model, at most
name=simclr              # the experiment is exp/<name>
force=false              # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
exp=exp/$name

if stage 0 "data: speak the corpus, write data directories"; then
  ../local/make_corpus.sh --nj "$nj" --force "$force" corpus data
fi

if stage 1 "features: 80-dimensional filterbanks"; then
  for data in data/train data/test; do
    extract_features.sh --nj "$nj" --force "$force" "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks: generated noises and room responses"; then
  make_banks.sh --force "$force" banks
fi

if stage 3 "pretrain: SimCLR, without labels"; then
  train.sh --config "$config" --set "$set" --seed "$seed" --force "$force" data/train banks "$exp"
fi

if stage 4 "cluster"; then
  echo "v1 trains without clusters: nothing to do"
fi

if stage 5 "train: second phase"; then
  echo "v1 has one phase of training: nothing to do"
fi

# Beside the trained model two baselines: its own first weights, and no network at all.
if stage 6 "embed the test set"; then
  average.sh --last "$last" --force "$force" "$exp"
  embed.sh --force "$force" "$exp/final.pt" data/test "$exp"
  embed.sh --force "$force" "$exp/checkpoints/epoch_0000.pt" data/test "$exp/untrained"
  embed_mean.sh --force "$force" data/test data/train exp/mean-fbank
fi

if stage 7 "score the trials: cosine"; then
  for system in "$exp" "$exp/untrained" exp/mean-fbank; do
    score.sh --force "$force" data/test "$system"
  done
fi

if stage 8 "report"; then
  report.sh --results exp/RESULTS.md data/test "$exp" "$exp/untrained" exp/mean-fbank
fi
echo "complete after $(elapsed)"
