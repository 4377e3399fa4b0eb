#!/usr/bin/env bash
# A bench for ideas: synthetic speakers in sessions that differ in what augmentation does not draw,
# and one table of a claim's systems between floors (no training) and a ceiling (true speakers).
# A run that was stopped goes on where it was. docs/bench.md explains how to add an idea.
#
# Usage: run.sh [--claim NAME] [options]
set -euo pipefail

. "$(dirname -- "${BASH_SOURCE[0]}")/../../utils/recipe.sh"
data=own
claim=            # margins, ssps, normalisation, collapse, or a FILE of systems; none: reference only
seeds="0 1 2"     # every system is trained with each
epochs=30         # of every training; systems that go on from the base have as many again
channels=hard     # easy: sessions differ in what augmentation draws as well
speakers=600      # for training, even
test_speakers=200 # others, even; fewer give wider intervals
sessions=4        # of each speaker
utterances=3      # of each session
corpus_seed=5     # another one gives other speakers and sessions

. "$(dirname -- "${BASH_SOURCE[0]}")/../../utils/parse_options.sh"
# A file is as seen from where the user stands; a name is one of claims/.
if [ -n "$claim" ] && [ -f "$claim" ]; then claim=$(realpath -- "$claim"); fi
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
# shellcheck source=utils/stages.sh
. stages.sh
case $claim in '' | /*) ;; *) claim=claims/$claim ;; esac
if [ -n "$claim" ] && [ ! -f "$claim" ]; then
  echo "run.sh: --claim: there is no $claim; give a file, or one of $(cd claims && echo *)" >&2
  exit 2
fi
CORPUS=bench

if stage 0 "data: speak the corpus, write data directories"; then
  ../mini/local/make_corpus.sh --channels "$channels" --train-speakers "$speakers" \
    --test-speakers "$test_speakers" --sessions "$sessions" --utterances "$utterances" \
    --seed "$corpus_seed" corpus data
fi
if stage 1 "features: 80-dimensional filterbanks"; then
  for part in train test; do extract_features.sh "data/$part" "fbank/$part"; done
fi
if stage 2 "augmentation banks: generated noises and room responses"; then make_banks.sh banks; fi
if stage 3 "train, embed and score: ${claim:-the reference}"; then
  for seed in $seeds; do
    for list in claims/reference $claim; do
      local/train_systems.sh --seed "$seed" --epochs "$epochs" --last "$last" --set "$set" "$list"
    done
  done
fi
if stage 4 "floors: statistics, i-vectors, untrained encoder"; then
  local/floors.sh --seed "${seeds%% *}"
fi
if stage 5 "table"; then local/table.sh --seeds "$seeds" --claim "$claim"; fi
echo "complete after $(elapsed)"
# results: RESULTS.md
