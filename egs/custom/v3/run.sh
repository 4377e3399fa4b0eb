#!/usr/bin/env bash
# SupCon, H-SCL and CHNS on any folder of audio whose folders tell the speakers (layouts: see v1). A
# base is trained, its voices are clustered, and training begins again with batches from clusters.
#
# Usage: run.sh --corpus DIR [--loss supcon|h_scl|aam] [options]
set -euo pipefail

stage=0                  # first stage to run
stop_stage=8             # last stage to run
corpus=                  # DIR: folder of audio; needed for stage 0
trials=auto              # FILE|auto|none: trial list; auto is <corpus>/trials if it exists
channel=                 # which channel of the audio, from 0; empty: the mean of all
noise=generated          # DIR|generated|none: noises and music for augmentation, e.g. MUSAN
rir=generated            # DIR|generated|none: room impulse responses, e.g. of RIRS_NOISES
nj=2                     # parallel jobs
loss=supcon              # supcon, h_scl, or aam (classification: a baseline of one phase)
hard_ratio=1             # share of a batch from clusters in stage 5; 0: random batches only
num_clusters=50          # K, clusters of speakers; 50 published for 5,894 speakers
refresh_every=0          # epochs after which stage 5 clusters again by itself; 0: never
set=                     # settings over those of conf/<loss>.yaml: "optim.lr=0.0005"
seed=0                   # of the first weights and of the order of training
last=10                  # epochs to average for the final model, at most
base=                    # name of the base experiment; default: <loss>-<seed>
name=                    # name of the CHNS experiment; default: <loss>-chns-<seed>
force=false              # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
config=conf/$loss.yaml
labels=data/labels/train/utt2spk
base=exp/${base:-$loss-$seed}
exp=exp/${name:-$loss-chns-$seed}
case $loss:$hard_ratio in aam:* | *:0 | *:0.0) exp=$base ;; esac
one_phase() { [ "$exp" = "$base" ] && echo "$loss, ratio $hard_ratio: nothing to do"; }
mapfile -t systems < <(printf '%s\n' "$exp" "$base" | uniq)

if stage 0 "data: read the folder, write data directories"; then
  prepare_folder.sh --trials "$trials" --channel "$channel" --force "$force" "$corpus" data
fi
sets=(data/train)
[ ! -e data/test ] || sets+=(data/test)

if stage 1 "features: 80-dimensional filterbanks"; then
  for data in "${sets[@]}"; do
    extract_features.sh --nj "$nj" --channel "$channel" --force "$force" \
      "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks"; then
  make_banks.sh --noise "$noise" --rir "$rir" --force "$force" banks
fi

if stage 3 "train the base: $loss, random batches of distinct speakers"; then
  train.sh --config "$config" --labels "$labels" --set "$set batches.hard_ratio=0" \
    --seed "$seed" --force "$force" data/train banks "$base"
fi

if stage 4 "voiceprints of the speakers by the base, and clusters of them"; then
  one_phase || cluster_speakers.sh --k "$num_clusters" --last "$last" --seed "$seed" \
    --force "$force" data/train "$labels" "$base"
fi

if stage 5 "train from scratch: batches with hard negatives from clusters"; then
  hard="batches.hard_ratio=$hard_ratio batches.refresh_every=$refresh_every"
  one_phase || train.sh --config "$config" --labels "$labels" --clusters "$base/clusters" \
    --set "$set batches.clusters=$num_clusters $hard" --seed "$seed" --force "$force" \
    data/train banks "$exp"
fi

if [ "$stop_stage" -gt 5 ] && [ ! -e data/test ]; then
  average.sh --last "$last" --force "$force" "$exp"
  echo "There are no trials, so nothing to test. The model is $PWD/$exp/final.pt"
  exit 0
fi

if stage 6 "embed the test set"; then
  for system in "${systems[@]}"; do
    average.sh --last "$last" --force "$force" "$system"
    embed.sh --force "$force" "$system/final.pt" data/test "$system"
  done
fi

if stage 7 "score the trials: cosine"; then
  for system in "${systems[@]}"; do
    score.sh --force "$force" data/test "$system"
  done
fi

if stage 8 "report"; then
  report.sh --results exp/RESULTS.md data/test "${systems[@]}"
fi
echo "complete after $(elapsed)"
