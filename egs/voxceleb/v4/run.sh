#!/usr/bin/env bash
# Contrastive separative coding on VoxCeleb2 dev, without labels; VoxCeleb1-O, clean and with
# another person over the test side. ../README.md has folder layouts, sizes and licences.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--download true] [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/voxceleb/local/corpus.sh" # options, stages 0-2
configs="csc simclr_noise simclr_mixtures" # systems: conf/<config>.yaml; the others are ablations
levels="10 5 0" # of the test speaker over the other person, dB; "": clean trials only
sides="test"    # test or both: which sides of a trial another person speaks over
lists=o
name=           # the experiments are exp/<name><config>-<seed>

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
experiments=() systems=() # a system <experiment>-sources is scored by its best separated sources
for config in $configs; do
  experiments+=("exp/$name$config-$seed") systems+=("exp/$name$config-$seed")
  [[ $config != csc* ]] || systems+=("exp/$name$config-$seed-sources")
done
sets=(data/voxceleb1)
for level in $levels; do sets+=("data/voxceleb1_${level}db"); done

if stage 0 "data: find VoxCeleb, convert m4a, write data directories and trials"; then make_data; fi
if stage 1 "features: filterbanks${num_mel_bins:+ of $num_mel_bins bands}"; then make_features; hold_out; fi
if stage 2 "augmentation banks; adverse trials, in which another person speaks"; then
  make_augmentation
  mix_trials.sh --levels "$levels" --sides "$sides" --num-mel-bins "$num_mel_bins" \
    --preset "$preset" data/voxceleb1 mixtures fbank
fi

if stage 3 "pretrain: $configs"; then
  for config in $configs; do # one ablation is supervised
    [[ $config = *supervised ]] && labels=data/labels/train/utt2spk || labels=''
    train.sh --config "conf/$config.yaml" --set "$set" --seed "$seed" --labels "$labels" \
      "$train" banks "exp/$name$config-$seed"
  done
fi
if stage 4 "cluster"; then echo "v4 trains without clusters: nothing to do"; fi
if stage 5 "train: second phase"; then echo "v4 has one phase: nothing to do"; fi

if stage 6 "embed the test sets"; then
  average.sh --last "$last" "${experiments[@]}"
  for test in "${sets[@]}"; do embed_systems.sh --train "$train" "$test" "${experiments[@]}"; done
fi
if stage 7 "score the trials, clean and adverse"; then
  for test in "${sets[@]}"; do score_mixed.sh --train "$train" "$test" "${systems[@]}"; done
fi
if stage 8 "report: a table for each list, EER by SNR, and the model"; then
  report_mixed.sh --levels "$levels" --results exp/RESULTS.md data/voxceleb1 "${systems[@]}"
fi
echo "complete after $(elapsed)"
# results: RESULTS.md
