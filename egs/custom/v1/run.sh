#!/usr/bin/env bash
# SimCLR on any folder of audio, without labels: <speaker>/<session>/<utterance>.<wav|flac|ogg|
# opus|mp3>, or a flat folder. With a trial list (lines "1 enrol.flac test.flac") it also gives the
# equal error rate; without one it ends after stage 3 with a trained model.
#
# Usage: run.sh --corpus DIR [options]
set -euo pipefail

stage=0                  # first stage to run
stop_stage=8             # last stage to run
corpus=                  # DIR: folder of audio; needed for stage 0
trials=auto              # FILE|auto|none: trial list; auto is <corpus>/trials if it exists
channel=                 # which channel of the audio, from 0; empty: the mean of all
layout=auto              # flat, speaker/utt or speaker/session/utt; auto is by the depth of files
group_speakers=false     # one speaker name in two sub-corpora means two people
max_bad=0.01             # share of bad audio files that is left out without stopping
simulate_channels=false  # give every utterance a recording condition of its own, and say so
noise=generated          # DIR|generated|none: noises and music for augmentation, e.g. MUSAN
rir=generated            # DIR|generated|none: room impulse responses, e.g. of RIRS_NOISES
wave=false               # augment waveforms instead of features; keeps them as arks, 115 MB an hour
nj=2                     # parallel jobs
config=conf/simclr.yaml  # FILE: settings of model, loss and training
set=                     # settings over those of --config: "optim.lr=0.0005 train.epochs=20"
seed=0                   # of the first weights and of the order of training
last=10                  # epochs to average for the final model, at most
name=simclr              # the experiment is exp/<name>
force=false              # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
exp=exp/$name
[ "$wave" = false ] || set="$set data.domain=wave"

if stage 0 "data: read the folder, write data directories"; then
  prepare_folder.sh --trials "$trials" --channel "$channel" --layout "$layout" \
    --group-speakers "$group_speakers" --max-bad "$max_bad" \
    --simulate-channels "$simulate_channels" --noise "$noise" --rir "$rir" \
    --nj "$nj" --force "$force" "${corpus:?"give --corpus, the folder of audio"}" data
fi
sets=(data/train)
[ ! -e data/test ] || sets+=(data/test)

if stage 1 "features: 80-dimensional filterbanks"; then
  for data in "${sets[@]}"; do
    extract_features.sh --nj "$nj" --channel "$channel" --max-bad "$max_bad" --wave "$wave" \
      --force "$force" "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks"; then
  make_banks.sh --noise "$noise" --rir "$rir" --wave "$wave" --force "$force" banks
fi

if stage 3 "pretrain: SimCLR, without labels"; then
  train.sh --config "$config" --set "$set" --seed "$seed" --force "$force" data/train banks "$exp"
fi

if stage 4 "cluster"; then
  echo "v1 trains without clusters: nothing to do"
fi

if stage 5 "train: second phase"; then
  echo "v1 has one phase of training: nothing to do"
fi

if [ "$stop_stage" -gt 5 ] && [ ! -e data/test ]; then
  untested.sh --last "$last" --force "$force" "$exp"
  exit 0
fi

# Beside the trained model two baselines: its own first weights, and no network at all.
if stage 6 "embed the test set"; then
  average.sh --last "$last" --force "$force" "$exp"
  embed.sh --force "$force" "$exp/final.pt" data/test "$exp"
  embed.sh --force "$force" "$exp/checkpoints/epoch_0000.pt" data/test "$exp/untrained"
  embed_mean.sh --force "$force" data/test data/train exp/mean-fbank
fi

if stage 7 "score the trials: cosine"; then
  for system in "$exp" "$exp/untrained" exp/mean-fbank; do
    score.sh --force "$force" data/test "$system"
  done
fi

if stage 8 "report"; then
  report.sh --results exp/RESULTS.md data/test "$exp" "$exp/untrained" exp/mean-fbank
fi
echo "complete after $(elapsed)"
