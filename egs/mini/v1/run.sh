#!/usr/bin/env bash
# SimCLR on the mini corpus: synthetic speech, no labels, two CPU cores, minutes.
#
# Usage: run.sh [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/mini/local/corpus.sh" # options, stages 0-2
config=conf/simclr.yaml # FILE: settings of model, loss and training
name=simclr             # the experiment is exp/<name>
encoder=                # FILE: encoder that training starts from: exp/moco_c3/final.pt for C3-DINO

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
exp=exp/$name
[ "$wave" = false ] || set="$set data.domain=wave"
# Beside the trained model two baselines: its own first weights, and no network at all.
first=$exp/untrained
[ -z "$encoder" ] || first=$exp/first-encoder
systems=("$exp" "$first" exp/mean-fbank)

if stage 0 "data: speak the corpus, write data directories"; then make_data; fi
if stage 1 "features: 80-dimensional filterbanks"; then make_features; hold_out; fi
if stage 2 "augmentation banks: generated noises and room responses"; then make_augmentation; fi

if stage 3 "pretrain: ${config##*/}, without labels"; then
  train.sh --config "$config" --set "$set" --seed "$seed" --encoder "$encoder" \
    "$train" banks "$exp"
fi
if stage 4 "cluster"; then echo "v1 trains without clusters: nothing to do"; fi
if stage 5 "train: second phase"; then echo "v1 has one phase of training: nothing to do"; fi

if stage 6 "embed the test set"; then
  average.sh --last "$last" "$exp"
  embed.sh --train "$train" "$exp/final.pt" data/test "$exp"
  embed.sh --train "$train" "$exp/checkpoints/epoch_0000.pt" data/test "$first"
  embed_mean.sh data/test "$train" exp/mean-fbank
fi
if stage 7 "score the trials"; then score_kinds.sh data/test "$train" "${systems[@]}"; fi
if stage 8 "report"; then report.sh --results exp/RESULTS.md data/test "${systems[@]}"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
