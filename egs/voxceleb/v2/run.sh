#!/usr/bin/env bash
# SSPS on VoxCeleb2 dev, without labels: a base, then more epochs with positives from other
# recordings; VoxCeleb1-O, E and H (cleaned). Layouts, sizes, licences: ../README.md.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--method simclr|moco|dino|vicreg|swav|rdino|sdpn] [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/voxceleb/local/corpus.sh" # options, stages 0-2
method=simclr            # settings: conf/<method>.yaml
num_mel_bins=            # mel bands; default: as published, those of the program for DINO, else 40
epochs=                  # of both phases together; default: as published, 100 + 20, DINO 80 + 20
further=                 # settings of stage 5, with SSPS and without
ssps=                    # settings over those with SSPS alone: "ssps.nearest=2"
baseline=false           # also go on without SSPS, for as many epochs
upper_bound=false        # also go on with positives of true speakers: the most SSPS could gain
pseudo_labels=false      # embed and cluster 1.09 M utterances in stage 4, for PLDA; not for SSPS
k=25000                  # clusters of --pseudo-labels true, which are then merged to 7,500
crops=                   # N: also score N crops of 3.5 s of each utterance; 10 as published
name=                    # the experiments are exp/<name>{base,ssps,baseline,speakers}

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
[ -n "$num_mel_bins" ] || [[ $method = dino* ]] || num_mel_bins=40
. stages.sh
exp=exp/${name:-$method-$seed-}
base=${exp}base systems=("${exp}ssps")
[ "$baseline" = false ] || systems+=("${exp}baseline")
[ "$upper_bound" = false ] || systems+=("${exp}speakers")
plan=${epochs:+train.epochs=$epochs} # the base stops inside: where the settings say, or --set
[[ -z $epochs || $set = *train.stop=* || ! " $set" =~ " train.epochs="([0-9]+) ]] ||
  plan+=" train.stop=${BASH_REMATCH[1]}"
if stage 0 "data: find VoxCeleb, convert m4a, write data directories and trials"; then make_data; fi
if stage 1 "features: filterbanks${num_mel_bins:+ of $num_mel_bins bands}"; then make_features; hold_out; fi
if stage 2 "augmentation banks: MUSAN and RIRS_NOISES"; then make_augmentation; fi
if stage 3 "pretrain: $method, without labels"; then
  train.sh --config "conf/$method.yaml" --set "$set $plan" --seed "$seed" "$train" banks "$base"
fi
if stage 4 "cluster: only with --pseudo-labels true" && [ "$pseudo_labels" = true ]; then
  average.sh --last "$last" "$base"
  embed_systems.sh "$train" "$base"
  cluster.sh --k "$k" --merge 7500 --labels data/labels/train/utt2spk \
    "$base/embeddings/$(set_name "$base/embeddings" "$train").scp" "$base/clusters"
fi
if stage 5 "train: go on with positives from other recordings"; then
  for system in "${systems[@]}"; do
    train_further.sh --system "${system#"$exp"}" --ssps "$ssps" --config "conf/$method.yaml" \
      --set "$set $plan train.stop=0 $further" --seed "$seed" "$base" "$train" banks "$system"
  done
fi
systems+=("$base")
if stage 6 "embed VoxCeleb1"; then
  average.sh --last "$last" "${systems[@]}"
  embed_systems.sh --train "$train" --crops "$crops" data/voxceleb1 "${systems[@]}"
fi
if stage 7 "score the trials"; then score_lists "${systems[@]}"; fi
if stage 8 "report"; then report_lists "${systems[@]}"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
