#!/usr/bin/env bash
# SSPS on VoxCeleb2 dev, without labels: a base, then more epochs with positives from other
# recordings; VoxCeleb1-O, E and H (cleaned). Layouts, sizes, licences: ../README.md.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--method simclr|moco|dino|vicreg|swav] [options]
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
method=simclr             # settings: conf/<method>.yaml
num_mel_bins=             # mel bands of the features; by default as published, 80 for DINO, else 40
epochs=                   # of both phases together, for which schedules are planned; by default
                          # those of the settings: 100 and 20 as published, DINO 80 and 20
set=                      # settings over those of both phases: "train.batch_size=128"
further=                  # settings of stage 5, with SSPS and without
ssps=                     # settings over those with SSPS alone: "ssps.nearest=2"
baseline=false            # also go on without SSPS, for as many epochs
upper_bound=false         # also go on with positives of true speakers: the most SSPS could gain
pseudo_labels=false       # embed and cluster 1.09 M utterances in stage 4, for PLDA; not for SSPS
k=25000                   # clusters of --pseudo-labels true, which are then merged to 7,500
seed=0                    # of the first weights and of the order of training
last=10                   # epochs to average for the final model, at most
name=                     # the experiments are exp/<name>{base,ssps,baseline,speakers}
force=false               # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
devices=(--ngpu "$ngpu" --nnodes "$nnodes")
# The base stops inside the plan of both phases: where the settings say, or --set train.epochs=.
plan=${epochs:+train.epochs=$epochs}
if [[ -n $epochs && " $set" =~ " train.epochs="([0-9]+) && $set != *train.stop=* ]]; then
  plan+=" train.stop=${BASH_REMATCH[1]}"
fi
exp=exp/${name:-$method-$seed-}
base=${exp}base systems=("${exp}ssps")
[ "$baseline" = false ] || systems+=("${exp}baseline")
[ "$upper_bound" = false ] || systems+=("${exp}speakers")

if stage 0 "data: find the parts of VoxCeleb, convert m4a, write data directories and trials"; then
  ../local/prepare.sh --voxceleb1 "$voxceleb1" --voxceleb2 "$voxceleb2" --trials "$trials" \
    --lists "$lists" --counts "$counts" --download "$download" --nj "$nj" --force "$force" data
fi

[ "$method" = dino ] && bands=80 || bands=40
num_mel_bins=${num_mel_bins:-$bands}
if stage 1 "features: $num_mel_bins-dimensional filterbanks"; then
  for data in data/train data/voxceleb1; do
    extract_features.sh --nj "$nj" --num-mel-bins "$num_mel_bins" --force "$force" \
      "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks: MUSAN and RIRS_NOISES"; then
  prepare_noises.sh --download "$download" --force "$force" "$musan" "$rirs" data
  make_banks.sh --noise data/musan --rir data/rirs --num-mel-bins "$num_mel_bins" \
    --force "$force" banks
fi

if stage 3 "pretrain: $method, without labels"; then
  train.sh --config "conf/$method.yaml" --set "$set $plan" --seed "$seed" "${devices[@]}" \
    --force "$force" data/train banks "$base"
fi

if stage 4 "cluster: only with --pseudo-labels true" && [ "$pseudo_labels" = true ]; then
  average.sh --last "$last" --force "$force" "$base"
  embed.sh --nj "$nj" "${devices[@]}" --force "$force" "$base/final.pt" data/train "$base"
  cluster.sh --k "$k" --merge 7500 --labels data/labels/train/utt2spk "${devices[@]}" \
    --force "$force" "$base/embeddings/train.scp" "$base/clusters"
fi

if stage 5 "train: go on with positives from other recordings"; then
  for system in "${systems[@]}"; do
    train_further.sh --system "${system#"$exp"}" --ssps "$ssps" --config "conf/$method.yaml" \
      --set "$set $plan train.stop=0 $further" --seed "$seed" "${devices[@]}" --force "$force" \
      "$base" data/train banks "$system"
  done
fi

if stage 6 "embed VoxCeleb1"; then
  for system in "${systems[@]}" "$base"; do
    average.sh --last "$last" --force "$force" "$system"
    embed.sh --nj "$nj" "${devices[@]}" --force "$force" "$system/final.pt" data/voxceleb1 "$system"
  done
fi

if stage 7 "score the trials: cosine"; then
  while read -r list; do # of stage 0
    options=(--trials "data/trials/$list" --name "$list" --force "$force")
    for system in "${systems[@]}" "$base"; do score.sh "${options[@]}" data/voxceleb1 "$system"; done
  done < data/trials/lists
fi

if stage 8 "report"; then
  while read -r list; do
    report.sh --trials "data/trials/$list" --name "$list" --results exp/RESULTS.md \
      data/voxceleb1 "${systems[@]}" "$base"
  done < data/trials/lists
fi
echo "complete after $(elapsed)"
