#!/usr/bin/env bash
# SupCon, H-SCL and CHNS on VoxCeleb2 dev, with its speakers; VoxCeleb1-O, E and H (cleaned). The
# systems of Masztalski et al., Interspeech 2025 (arXiv 2507.17540): --loss aam; supcon or h_scl,
# --hard-ratio 0; the same, --hard-ratio 1. Layouts, sizes, licences: ../README.md.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--loss supcon|h_scl|aam] [options]
set -euo pipefail

stage=0                   # first stage to run
stop_stage=8              # last stage to run
voxceleb1=                # DIR: VoxCeleb1, dev and test
voxceleb2=                # DIR: VoxCeleb2, dev; m4a is converted by ffmpeg
musan=corpus/musan        # DIR: noises, music and speech
rirs=corpus/RIRS_NOISES   # DIR: room responses
trials=corpus/trials      # DIR: veri_test2.txt, list_test_all2.txt, list_test_hard2.txt
counts=published          # FILE|published|any: counts that the corpora and lists must have
download=false            # fetch trials, MUSAN and RIRS_NOISES if they are not there
lists="o e h"             # trial lists
nj=2                      # parallel jobs
ngpu=0                    # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=1                  # machines with --ngpu GPUs each
loss=supcon               # supcon, h_scl, or aam (classification: a baseline of one phase)
encoder=ecapa             # ecapa (256 channels) or thin_resnet34
hard_ratio=1              # share of a batch from clusters in stage 5; 0: random batches only
num_clusters=50           # K, clusters of speakers; 50 published for 5,894 speakers
refresh_every=0           # epochs after which stage 5 clusters again by itself; 0: never
set=                      # settings over those of conf/<loss>_<encoder>.yaml: "optim.lr=0.0005"
seed=0                    # of the first weights and of the order of training
last=10                   # epochs to average for the final model, at most
base=                     # name of the base experiment; default: <loss>-<encoder>-<seed>
name=                     # name of the CHNS experiment; default: <loss>-<encoder>-chns-<seed>
force=false               # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
devices=(--ngpu "$ngpu" --nnodes "$nnodes")
config=conf/${loss}_$encoder.yaml
labels=data/labels/train/utt2spk
base=exp/${base:-$loss-$encoder-$seed}
exp=exp/${name:-$loss-$encoder-chns-$seed}
case $loss:$hard_ratio in aam:* | *:0 | *:0.0) exp=$base ;; esac
one_phase() { [ "$exp" = "$base" ] && echo "$loss, ratio $hard_ratio: nothing to do"; }
mapfile -t systems < <(printf '%s\n' "$exp" "$base" | uniq)

if stage 0 "data: find the parts of VoxCeleb, convert m4a, write data directories and trials"; then
  ../local/prepare.sh --voxceleb1 "$voxceleb1" --voxceleb2 "$voxceleb2" --trials "$trials" \
    --lists "$lists" --counts "$counts" --download "$download" --nj "$nj" --force "$force" data
fi

if stage 1 "features: 80-dimensional filterbanks"; then
  for data in data/train data/voxceleb1; do
    extract_features.sh --nj "$nj" --force "$force" "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks: MUSAN and RIRS_NOISES"; then
  prepare_noises.sh --download "$download" --force "$force" "$musan" "$rirs" data
  make_banks.sh --noise data/musan --rir data/rirs --force "$force" banks
fi

if stage 3 "train the base: $loss, random batches of distinct speakers"; then
  train.sh --config "$config" --labels "$labels" --set "$set batches.hard_ratio=0" \
    --seed "$seed" "${devices[@]}" --force "$force" data/train banks "$base"
fi

if stage 4 "voiceprints of the speakers by the base, and clusters of them"; then
  one_phase || cluster_speakers.sh --k "$num_clusters" --last "$last" --seed "$seed" \
    --ngpu "$ngpu" --force "$force" data/train "$labels" "$base"
fi

if stage 5 "train from scratch: batches with hard negatives from clusters"; then
  hard="batches.hard_ratio=$hard_ratio batches.refresh_every=$refresh_every"
  one_phase || train.sh --config "$config" --labels "$labels" --clusters "$base/clusters" \
    --set "$set batches.clusters=$num_clusters $hard" --seed "$seed" "${devices[@]}" \
    --force "$force" data/train banks "$exp"
fi

if stage 6 "embed VoxCeleb1"; then
  for system in "${systems[@]}"; do
    average.sh --last "$last" --force "$force" "$system"
    embed.sh --nj "$nj" "${devices[@]}" --force "$force" "$system/final.pt" data/voxceleb1 "$system"
  done
fi

if stage 7 "score the trials: cosine"; then
  while read -r list; do # of stage 0, with a mark where contaminated
    for system in "${systems[@]}"; do
      score.sh --trials "data/trials/$list" --name "$list" --force "$force" data/voxceleb1 "$system"
    done
  done < data/trials/lists
fi

if stage 8 "report"; then
  while read -r list; do
    report.sh --trials "data/trials/$list" --name "$list" --results exp/RESULTS.md \
      data/voxceleb1 "${systems[@]}"
  done < data/trials/lists
fi
echo "complete after $(elapsed)"
