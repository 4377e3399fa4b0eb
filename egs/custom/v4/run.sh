#!/usr/bin/env bash
# Contrastive separative coding on any folder of audio: embeddings for when another person speaks
# too, without labels; with a trial list and speakers also tested on trials with another person
# over the test side. Options of the folder: see v1.
#
# Usage: run.sh --corpus DIR [options]
set -euo pipefail

stage=0          # first stage to run
stop_stage=8     # last stage to run
corpus=          # DIR: folder of audio; needed for stage 0
trials=auto      # FILE|auto|none: trial list; auto is <corpus>/trials if it exists
channel=         # which channel of the audio, from 0; empty: the mean of all
noise=generated  # DIR|generated|none: noises and music for augmentation, e.g. MUSAN
rir=generated    # DIR|generated|none: room impulse responses, e.g. of RIRS_NOISES
nj=2             # parallel jobs
configs="csc simclr_noise simclr_mixtures" # systems: conf/<config>.yaml; the others are ablations
set=             # settings over those of every system: "optim.lr=0.0005 train.epochs=20"
levels="10 5 0"  # of the test speaker over the other person, dB; "": clean trials only
sides="test"     # test or both: which sides of a trial another person speaks over
wave=false       # mix and augment waveforms in training instead of features
seed=0           # of the first weights and of the order of training
last=5           # epochs to average for the final model, at most
name=            # the experiments are exp/<name><config>-<seed>
force=false      # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
[ "$wave" = false ] || set="$set data.domain=wave"
experiment() { echo "exp/$name$1-$seed"; }
systems=() # of those that separate also <system>-sources, scored by the best sources
for config in $configs; do
  systems+=("$(experiment "$config")")
  [[ $config != csc* ]] || systems+=("$(experiment "$config")-sources")
done
sets=(data/test)
for level in $levels; do sets+=("data/test_${level}db"); done

if stage 0 "data: read the folder, write data directories"; then
  prepare_folder.sh --trials "$trials" --channel "$channel" --nj "$nj" \
    --force "$force" "$corpus" data
fi
[ -e data/test ] || sets=()

if stage 1 "features: 80-dimensional filterbanks"; then
  for data in data/train ${sets[@]+data/test}; do
    extract_features.sh --nj "$nj" --channel "$channel" --wave "$wave" --force "$force" \
      "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks; adverse trials, in which another person speaks"; then
  make_banks.sh --noise "$noise" --rir "$rir" --wave "$wave" --force "$force" banks
  [ ${#sets[@]} -eq 0 ] || mix_trials.sh --levels "$levels" --sides "$sides" --nj "$nj" \
    --force "$force" data/test mixtures fbank
fi

if stage 3 "pretrain: $configs"; then
  for config in $configs; do
    known=() # true speakers, for the one ablation that is supervised
    [[ $config != *supervised ]] || known=(--labels data/labels/train/utt2spk)
    train.sh --config "conf/$config.yaml" --set "$set" --seed "$seed" --force "$force" \
      "${known[@]}" data/train banks "$(experiment "$config")"
  done
fi

if stage 4 "cluster"; then echo "v4 trains without clusters: nothing to do"; fi

if stage 5 "train: second phase"; then echo "v4 has one phase: nothing to do"; fi

if stage 6 "embed the test sets"; then
  [ ${#sets[@]} -gt 0 ] || echo "There are no trials: the models are $PWD/exp/*/final.pt"
  for config in $configs; do
    exp=$(experiment "$config")
    average.sh --last "$last" --force "$force" "$exp"
    for data in "${sets[@]}"; do embed.sh --force "$force" "$exp/final.pt" "$data" "$exp"; done
  done
fi


if stage 7 "score the trials, clean and adverse: cosine"; then
  for system in "${systems[@]}"; do
    for data in "${sets[@]}"; do
      case $system in
        *-sources) score_sources.sh --force "$force" "$data" "${system%-sources}" ;;
        *) score.sh --force "$force" "$data" "$system" ;;
      esac
    done
  done
fi

if stage 8 "report: a table for each list"; then
  for data in "${sets[@]}"; do
    out=exp/report/${data#data/}
    [ "$data" != data/test ] || out= # of the clean list also a model directory
    report.sh --out "$out" --results exp/RESULTS.md "$data" "${systems[@]}"
  done
fi
echo "complete after $(elapsed)"
