#!/usr/bin/env bash
# Stage 0 of the mini recipe: speak the synthetic corpus and write its data directories. An
# interrupted run goes on with the utterances that are missing.
#
# Usage: make_corpus.sh [options] <corpus> <data>
set -euo pipefail

nj=2               # jobs that speak at the same time
seed=0             # another one gives other speakers, sentences, channels and trials
train_speakers=64  # even, half of them women
test_speakers=24   # even, at least 4
sessions=3         # per speaker, each with a channel of its own
utterances=4       # per session
force=false        # make all of it again

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../path.sh"
corpus=$1 data=$2
read -r -a launch <<< "${cmd:-launch}"

sizes=(--seed "$seed" --train-speakers "$train_speakers" --test-speakers "$test_speakers"
  --sessions "$sessions" --utterances "$utterances")
what=(--title "mini corpus" --done "$data/.corpus.done" --output "$corpus/utterances.tsv"
  --output "$data/train/wav.scp" --output "$data/test/trials" --key "$corpus ${sizes[*]}")
. begin.sh "${what[@]}" --force "$force"

LAUNCH_TITLE="mini corpus" "${launch[@]}" "JOB=1:$nj" "$corpus/log/synthesize.JOB.log" \
  python -m sv.bin.synthesize --out "$corpus" --job JOB --num-jobs "$nj" "${sizes[@]}" \
  --force "$force"
python -m sv.bin.prepare_mini --corpus "$corpus" --out "$data"
once mark "${what[@]}"
