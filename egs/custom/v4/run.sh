#!/usr/bin/env bash
# Contrastive separative coding on any folder of audio, without labels: embeddings for when another
# person speaks too. With trials and speakers also tested with another person over the test side.
#
# Usage: run.sh --corpus DIR [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../egs/custom/local/corpus.sh" # options, stages 0-2
configs="csc simclr_noise simclr_mixtures" # systems: conf/<config>.yaml; the others are ablations
levels="10 5 0" # of the test speaker over the other person, dB; "": clean trials only
sides="test"    # test or both: which sides of a trial another person speaks over
last=5
name=           # the experiments are exp/<name><config>-<seed>

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
[ "$wave" = false ] || set="$set data.domain=wave"
experiments=() systems=() # a system <experiment>-sources is scored by its best separated sources
for config in $configs; do
  experiments+=("exp/$name$config-$seed") systems+=("exp/$name$config-$seed")
  [[ $config != csc* ]] || systems+=("exp/$name$config-$seed-sources")
done
sets=(data/test)
for level in $levels; do sets+=("data/test_${level}db"); done

if stage 0 "data: read the folder, write data directories"; then make_data; fi
if stage 1 "features: filterbanks${num_mel_bins:+ of $num_mel_bins bands}"; then make_features; hold_out; fi
if stage 2 "augmentation banks; adverse trials, in which another person speaks"; then
  make_augmentation
  [ ! -e data/test ] || mix_trials.sh --levels "$levels" --sides "$sides" \
    --num-mel-bins "$num_mel_bins" data/test mixtures fbank
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
end_if_untested "${experiments[@]}"
if stage 6 "embed the test sets"; then
  average.sh --last "$last" "${experiments[@]}"
  for test in "${sets[@]}"; do embed_systems.sh --train "$train" "$test" "${experiments[@]}"; done
fi
if stage 7 "score the trials, clean and adverse"; then
  for test in "${sets[@]}"; do score_mixed.sh --train "$train" "$test" "${systems[@]}"; done
fi
if stage 8 "report: a table for each list, EER by SNR, and the model"; then
  report_mixed.sh --levels "$levels" --results exp/RESULTS.md data/test "${systems[@]}"
fi
echo "complete after $(elapsed)"
# results: RESULTS.md
