#!/usr/bin/env bash
# SSPS on any folder of audio, without labels: a base trained on two crops of one utterance, then
# more epochs with positives from other recordings, and the same number without them, for a fair
# comparison. With a trial list it also gives the equal error rates. Options of the folder: see v1.
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
nj=2                     # parallel jobs
method=simclr            # settings: conf/<method>.yaml
set=                     # settings over those of the base and after it: "optim.lr=0.0005"
epochs=30                # of both phases together
further=                 # settings of stage 5, with SSPS and without
ssps=                    # settings over those with SSPS alone: "ssps.clusters=64 ssps.nearest=0"
baseline=true            # also go on without SSPS, for as many epochs
upper_bound=false        # also go on with positives of true speakers: the most SSPS could gain
seed=0                   # of the first weights and of the order of training
last=10                  # epochs to average for the final model, at most
k=auto                   # clusters of stage 4, for looking at and for PLDA; stage 5 does without
name=                    # the experiments are exp/<name>{base,ssps,baseline,speakers}
force=false              # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
exp=exp/${name:-$method-$seed-}
base=${exp}base
files=(--channel "$channel" --max-bad "$max_bad" --nj "$nj" --force "$force")
systems=("${exp}ssps")
[ "$baseline" = false ] || systems+=("${exp}baseline")
[ "$upper_bound" = false ] || systems+=("${exp}speakers")

if stage 0 "data: read the folder, write data directories"; then
  prepare_folder.sh "${files[@]}" --trials "$trials" --layout "$layout" \
    --group-speakers "$group_speakers" --simulate-channels "$simulate_channels" \
    --noise "$noise" --rir "$rir" "${corpus:?"give --corpus, the folder of audio"}" data
fi
sets=(data/train)
[ ! -e data/test ] || sets+=(data/test)

if stage 1 "features: 80-dimensional filterbanks"; then
  for data in "${sets[@]}"; do extract_features.sh "${files[@]}" "$data" "fbank/${data#data/}"; done
fi

if stage 2 "augmentation banks"; then
  make_banks.sh --noise "$noise" --rir "$rir" --force "$force" banks
fi

if stage 3 "pretrain: $method, without labels"; then
  train.sh --config "conf/$method.yaml" --set "$set" --seed "$seed" --force "$force" \
    data/train banks "$base"
fi

if stage 4 "cluster the training set by the base"; then
  average.sh --last "$last" --force "$force" "$base"
  embed.sh --force "$force" "$base/final.pt" data/train "$base"
  cluster.sh --k "$k" --labels data/labels/train/utt2spk --force "$force" \
    "$base/embeddings/train.scp" "$base/clusters"
fi

if stage 5 "train: go on with positives from other recordings"; then
  for system in "${systems[@]}"; do
    train_further.sh --system "${system#"$exp"}" --ssps "$ssps" \
      --config "conf/$method.yaml" --set "$set $further train.epochs=$epochs" --seed "$seed" \
      --force "$force" "$base" data/train banks "$system"
  done
fi

if [ "$stop_stage" -gt 5 ] && [ ! -e data/test ]; then
  untested.sh --last "$last" --force "$force" "${exp}ssps"
  exit 0
fi

if stage 6 "embed the test set"; then
  for system in "${systems[@]}" "$base"; do
    average.sh --last "$last" --force "$force" "$system"
    embed.sh --force "$force" "$system/final.pt" data/test "$system"
  done
fi

if stage 7 "score the trials: cosine"; then
  for system in "${systems[@]}" "$base"; do score.sh --force "$force" data/test "$system"; done
fi

if stage 8 "report"; then
  report.sh --results exp/RESULTS.md data/test "${systems[@]}" "$base"
fi
echo "complete after $(elapsed)"
