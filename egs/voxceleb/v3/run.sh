#!/usr/bin/env bash
# SupCon, H-SCL and CHNS on VoxCeleb2 dev, with its speakers; VoxCeleb1-O, E and H (cleaned). The
# systems of Masztalski et al., Interspeech 2025 (arXiv 2507.17540): --loss aam; supcon or h_scl,
# --hard-ratio 0; the same, --hard-ratio 1. Layouts, sizes, licences: ../README.md.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--loss supcon|h_scl|aam] [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/voxceleb/local/corpus.sh" # options, stages 0-2
loss=supcon      # supcon, h_scl, angular_supcon, supcon_aam[_attention], or aam (one phase)
encoder=ecapa    # ecapa (256 channels) or thin_resnet34
hard_ratio=1     # share of a batch from clusters in stage 5; 0: random batches only
num_clusters=50  # K, clusters of speakers; 50 published for 5,894 speakers
refresh_every=0  # epochs after which stage 5 clusters again by itself; 0: never
base=            # name of the base experiment; default: <loss>-<encoder>-<seed>
crops=           # N: also score N crops of 3.5 s of each utterance; 10 as published
name=            # name of the CHNS experiment; default: <loss>-<encoder>-chns-<seed>

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
config=conf/${loss}_$encoder.yaml
labels=data/labels/train/utt2spk
base=exp/${base:-$loss-$encoder-$seed}
exp=exp/${name:-$loss-$encoder-chns-$seed}
case $loss:$hard_ratio in aam:* | *:0 | *:0.0) exp=$base ;; esac
one_phase() { [ "$exp" = "$base" ] && echo "$loss, ratio $hard_ratio: nothing to do"; }
mapfile -t systems < <(printf '%s\n' "$exp" "$base" | uniq)

if stage 0 "data: find VoxCeleb, convert m4a, write data directories and trials"; then make_data; fi
if stage 1 "features: filterbanks${num_mel_bins:+ of $num_mel_bins bands}"; then make_features; hold_out; fi
if stage 2 "augmentation banks: MUSAN and RIRS_NOISES"; then make_augmentation; fi

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

if stage 6 "embed VoxCeleb1"; then
  average.sh --last "$last" "${systems[@]}"
  embed_systems.sh --train "$train" --crops "$crops" data/voxceleb1 "${systems[@]}"
fi
if stage 7 "score the trials"; then score_lists "${systems[@]}"; fi
if stage 8 "report"; then report_lists "${systems[@]}"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
