#!/usr/bin/env bash
# Stage 0 of the mini recipe: speak the synthetic corpus and write its data directories. An
# interrupted run goes on with the utterances that are missing.
#
# Usage: make_corpus.sh [options] <corpus> <data>
set -euo pipefail

nj=${nj:-2}            # jobs that speak at the same time
seed=                  # program: another seed gives other speakers, sentences, channels and trials
train_speakers=        # program: even, half of them women
test_speakers=         # program: even, at least 4
sessions=              # program: per speaker, each with a channel of its own
utterances=            # program: per session
channels=              # program: easy or hard: what sessions differ in
force=${force:-false}  # make all of it again

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../path.sh"
corpus=$1 data=$2
read -r -a launch <<< "${cmd:-launch}"

sizes=()
hand_on sizes seed train_speakers test_speakers sessions utterances channels
what=(--title "mini corpus" --done "$data/.corpus.done" --output "$corpus/utterances.tsv"
  --output "$data/train/wav.scp" --output "$data/test/trials" --key "$corpus ${sizes[*]}")
. begin.sh "${what[@]}" --force "$force"

LAUNCH_TITLE="mini corpus" "${launch[@]}" "JOB=1:$nj" "$corpus/log/synthesize.JOB.log" \
  python -m sv.bin.synthesize --out "$corpus" --job JOB --num-jobs "$nj" ${sizes[@]+"${sizes[@]}"} \
  --force "$force"
python -m sv.bin.prepare_mini --corpus "$corpus" --out "$data"
once mark "${what[@]}"
