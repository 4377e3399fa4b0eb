#!/usr/bin/env bash
# SimCLR and MoCo with additive margins on VoxCeleb2 dev, without labels; VoxCeleb1-O, E and H
# (cleaned). ../README.md has the table of configurations, folder layouts, sizes and licences.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--download true] [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/voxceleb/local/corpus.sh" # options, stages 0-2
num_mel_bins=40                # mel bands, as published; model.mel_bins of --config must agree
config=conf/simclr_am_0.1.yaml # FILE: settings of model, loss and training
crops=                         # N: also score N crops of 3.5 s of each utterance; 10 as published
encoder=                       # FILE: encoder that training starts from: exp/moco_c3/final.pt for
                               # conf/c3_dino.yaml
name=                          # the experiment is exp/<name>; default: the name of --config

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
exp=exp/${name:-$(basename -- "$config" .yaml)}

if stage 0 "data: find VoxCeleb, convert m4a, write data directories and trials"; then make_data; fi
if stage 1 "features: filterbanks${num_mel_bins:+ of $num_mel_bins bands}"; then make_features; hold_out; fi
if stage 2 "augmentation banks: MUSAN and RIRS_NOISES"; then make_augmentation; fi

if stage 3 "pretrain: $config, without labels"; then
  train.sh --config "$config" --set "$set" --seed "$seed" --encoder "$encoder" \
    "$train" banks "$exp"
fi
if stage 4 "cluster"; then echo "v1 trains without clusters: nothing to do"; fi
if stage 5 "train: second phase"; then echo "v1 has one phase of training: nothing to do"; fi

if stage 6 "embed VoxCeleb1"; then
  average.sh --last "$last" "$exp"
  embed_systems.sh --train "$train" --crops "$crops" data/voxceleb1 "$exp"
fi
if stage 7 "score the trials"; then score_lists "$exp"; fi
if stage 8 "report"; then report_lists "$exp"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
