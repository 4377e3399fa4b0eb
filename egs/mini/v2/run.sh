#!/usr/bin/env bash
# SSPS on the mini corpus: a base trained on two crops of one utterance, then more epochs with
# positives from other recordings, and the same number without them, for a fair comparison.
#
# Usage: run.sh [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/mini/local/corpus.sh" # options, stages 0-2
method=simclr            # settings: conf/<method>.yaml
epochs=50                # of both phases together
further="optim.schedule=constant optim.lr=0.0003" # settings of stage 5, with SSPS and without
ssps=                    # settings over those with SSPS alone: "ssps.clusters=64 ssps.nearest=0"
baseline=true            # also go on without SSPS, for as many epochs
upper_bound=false        # also go on with positives of true speakers: the most SSPS could gain
k=auto                   # clusters of stage 4, for looking at and for PLDA; stage 5 does without
name=                    # the experiments are exp/<name>{base,ssps,baseline,speakers}

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
[ "$wave" = false ] || set="$set data.domain=wave"
exp=exp/${name:-$method-$seed-}
base=${exp}base
systems=("${exp}ssps")
[ "$baseline" = false ] || systems+=("${exp}baseline")
[ "$upper_bound" = false ] || systems+=("${exp}speakers")

if stage 0 "data: speak the corpus, write data directories"; then make_data; fi
if stage 1 "features: 80-dimensional filterbanks"; then make_features; hold_out; fi
if stage 2 "augmentation banks: generated noises and room responses"; then make_augmentation; fi

if stage 3 "pretrain: $method, without labels"; then
  train.sh --config "conf/$method.yaml" --set "$set" --seed "$seed" "$train" banks "$base"
fi
if stage 4 "cluster the training set by the base"; then
  average.sh --last "$last" "$base"
  embed_systems.sh "$train" "$base"
  cluster.sh --k "$k" --labels data/labels/train/utt2spk \
    "$base/embeddings/$(set_name "$base/embeddings" "$train").scp" "$base/clusters"
fi
if stage 5 "train: go on with positives from other recordings"; then
  for system in "${systems[@]}"; do
    train_further.sh --system "${system#"$exp"}" --ssps "$ssps" --config "conf/$method.yaml" \
      --set "$set train.stop=0 $further train.epochs=$epochs" --seed "$seed" \
      "$base" "$train" banks "$system"
  done
fi
systems+=("$base")

if stage 6 "embed the test set"; then
  average.sh --last "$last" "${systems[@]}"
  embed_systems.sh --train "$train" data/test "${systems[@]}"
fi
if stage 7 "score the trials"; then score_kinds.sh data/test "$train" "${systems[@]}"; fi
if stage 8 "report"; then report.sh --results exp/RESULTS.md data/test "${systems[@]}"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
