#!/usr/bin/env bash
# SimCLR and MoCo with additive margins on VoxCeleb2 dev, without labels; VoxCeleb1-O, E and H
# (cleaned). ../README.md has the table of configurations, folder layouts, sizes and licences.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--download true] [options]
set -euo pipefail

stage=0                   # first stage to run
stop_stage=8              # last stage to run
voxceleb1=                # DIR: VoxCeleb1, dev and test
voxceleb2=                # DIR: VoxCeleb2, dev; m4a is converted by ffmpeg
musan=corpus/musan        # DIR: noises, music and speech
rirs=corpus/RIRS_NOISES   # DIR: room responses
trials=corpus/trials      # DIR: veri_test2.txt, list_test_all2.txt, list_test_hard2.txt
download=false            # fetch trials, MUSAN and RIRS_NOISES if they are not there
train_set=voxceleb2       # voxceleb2 (dev), voxceleb1 (dev), or several joined by +
lists="o e h"             # trial lists
contaminated=false        # also score, and mark, lists with speakers of the training set
counts=published          # FILE|published|any: counts that the corpora and lists must have
converted=corpus          # DIR: where m4a files are converted to
babble=musan              # musan or training: babble of MUSAN's speech, or of training utterances
max_rooms=10000           # of 60,000 room responses, spread evenly; 0: all, 8 kB of memory each
num_mel_bins=40           # mel bands, as published; model.mel_bins of --config must agree
nj=2                      # parallel jobs
ngpu=0                    # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=1                  # machines with --ngpu GPUs each
config=conf/simclr_am_0.1.yaml # FILE: settings of model, loss and training
set=                      # settings over those of --config: "optim.lr=0.0005 train.epochs=20"
seed=0                    # of the first weights and of the order of training
last=10                   # epochs to average for the final model, at most
name=                     # the experiment is exp/<name>; default: the name of --config
force=false               # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
devices=(--ngpu "$ngpu" --nnodes "$nnodes")
exp=exp/${name:-$(basename -- "$config" .yaml)}

if stage 0 "data: find the parts of VoxCeleb, convert m4a, write data directories and trials"; then
  ../local/prepare.sh --voxceleb1 "$voxceleb1" --voxceleb2 "$voxceleb2" --trials "$trials" \
    --train-set "$train_set" --lists "$lists" --contaminated "$contaminated" --counts "$counts" \
    --converted "$converted" --download "$download" --nj "$nj" --force "$force" data
fi

if stage 1 "features: $num_mel_bins-dimensional filterbanks"; then
  for data in data/train data/voxceleb1; do
    extract_features.sh --nj "$nj" --num-mel-bins "$num_mel_bins" --force "$force" \
      "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks: MUSAN and RIRS_NOISES"; then
  prepare_noises.sh --babble "$babble" --max-rooms "$max_rooms" --download "$download" \
    --force "$force" "$musan" "$rirs" data
  make_banks.sh --noise data/musan --rir data/rirs --num-mel-bins "$num_mel_bins" \
    --force "$force" banks
fi

if stage 3 "pretrain: $config, without labels"; then
  train.sh --config "$config" --set "$set" --seed "$seed" "${devices[@]}" --force "$force" \
    data/train banks "$exp"
fi

if stage 4 "cluster"; then
  echo "v1 trains without clusters: nothing to do"
fi

if stage 5 "train: second phase"; then
  echo "v1 has one phase of training: nothing to do"
fi

if stage 6 "embed VoxCeleb1"; then
  average.sh --last "$last" --force "$force" "$exp"
  embed.sh --nj "$nj" "${devices[@]}" --force "$force" "$exp/final.pt" data/voxceleb1 "$exp"
fi

if stage 7 "score the trials: cosine"; then
  mapfile -t made < data/trials/lists # by stage 0, with a mark where contaminated
  for list in "${made[@]}"; do
    score.sh --trials "data/trials/$list" --name "$list" --force "$force" data/voxceleb1 "$exp"
  done
fi

if stage 8 "report"; then
  mapfile -t made < data/trials/lists
  for list in "${made[@]}"; do
    report.sh --trials "data/trials/$list" --name "$list" --results exp/RESULTS.md \
      data/voxceleb1 "$exp"
  done
fi
echo "complete after $(elapsed)"
