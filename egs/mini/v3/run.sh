#!/usr/bin/env bash
# Supervised contrastive training and CHNS on the mini corpus: a base trained with random batches of
# distinct speakers, clusters of their voices, and training from scratch with batches from clusters.
#
# Usage: run.sh [--loss supcon|h_scl|aam] [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/mini/local/corpus.sh" # options, stages 0-2
loss=supcon      # supcon, h_scl, angular_supcon, supcon_aam[_attention], or aam (one phase)
hard_ratio=1     # share of a batch from clusters in stage 5; 0: random batches only
num_clusters=16  # K, clusters of speakers; 50 published for 5,894 speakers
refresh_every=0  # epochs after which stage 5 clusters again by itself; 0: never
base=            # name of the base experiment; default: <loss>-<seed>
name=            # name of the CHNS experiment; default: <loss>-chns-<seed>

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
[ "$wave" = false ] || set="$set data.domain=wave"
config=conf/$loss.yaml
labels=data/labels/train/utt2spk
base=exp/${base:-$loss-$seed}
exp=exp/${name:-$loss-chns-$seed}
case $loss:$hard_ratio in aam:* | *:0 | *:0.0) exp=$base ;; esac
one_phase() { [ "$exp" = "$base" ] && echo "$loss, ratio $hard_ratio: nothing to do"; }
mapfile -t systems < <(printf '%s\n' "$exp" "$base" | uniq)

if stage 0 "data: speak the corpus, write data directories"; then make_data; fi
if stage 1 "features: 80-dimensional filterbanks"; then make_features; hold_out; fi
if stage 2 "augmentation banks: generated noises and room responses"; then make_augmentation; fi

if stage 3 "train the base: $loss, random batches of distinct speakers"; then
  train.sh --config "$config" --labels "$labels" --set "$set batches.hard_ratio=0" --seed "$seed" \
    "$train" banks "$base"
fi
if stage 4 "voiceprints of the speakers by the base, and clusters of them"; then
  one_phase || cluster_speakers.sh --k "$num_clusters" --last "$last" --seed "$seed" \
    "$train" "$labels" "$base"
fi
if stage 5 "train from scratch: batches with hard negatives from clusters"; then
  hard="batches.hard_ratio=$hard_ratio batches.refresh_every=$refresh_every"
  one_phase || train.sh --config "$config" --labels "$labels" --clusters "$base/clusters" \
    --set "$set batches.clusters=$num_clusters $hard" --seed "$seed" "$train" banks "$exp"
fi

if stage 6 "embed the test set"; then
  average.sh --last "$last" "${systems[@]}"
  embed_systems.sh --train "$train" data/test "${systems[@]}"
fi
if stage 7 "score the trials"; then score_kinds.sh data/test "$train" "${systems[@]}"; fi
if stage 8 "report"; then report.sh --results exp/RESULTS.md data/test "${systems[@]}"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
