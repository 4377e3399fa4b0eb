#!/usr/bin/env bash
# Stage 7 for any corpus: scores of the trials of a data directory, in <exp>/scores/<name>. Without
# options they are cosines.
#
# Usage: score.sh [options] <data> <exp>
set -euo pipefail

trials=           # FILE: trial list, if not <data>/trials
name=             # of the score file, where a set has several lists; default: that of <data>
center=           # DIR: data directory of a training set whose mean embedding is subtracted; no labels
plda=             # FILE: score by this model of plda.sh instead of the cosine
norm=none         # none, z, t, s or as: normalise by the cohort
cohort=           # DIR: data directory of a training set; its utterances are the cohort. No labels
cohort_size=20000 # utterances of the cohort, spread over the list; 0 for all
utt2cluster=      # FILE: the cohort are the means of these clusters; no labels
utt2spk=          # FILE: the cohort are the means of true speakers; every result is marked
top_n=300         # of the cohort, for --norm as
out=              # DIR: write to <out>/scores instead: another system beside the plain one
force=false       # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 exp=$2
name=${name:-$(basename -- "$data")}
trials=${trials:-$data/trials}
out=${out:-$exp}
scores=$out/scores/$name

# Embeddings of a data directory, from stage 6.
embeddings() { printf '%s' "$exp/embeddings/$(basename -- "$1")"; }

case $norm in
  none | z | t | s | as) ;;
  *) echo "score.sh: --norm takes none, z, t, s or as, not '$norm'" >&2; exit 2 ;;
esac
if [ "$norm" != none ] && [ -z "$cohort" ]; then
  echo "score.sh: --norm $norm needs --cohort, the data directory of a training set" >&2
  exit 2
fi

system=(--embeddings "scp:$(embeddings "$data").scp")
inputs=(--input "$(embeddings "$data").scp" --input "$(embeddings "$data").ark")
if [ -n "$center" ]; then
  system+=(--center-on "scp:$(embeddings "$center").scp")
  inputs+=(--input "$(embeddings "$center").ark")
fi
if [ -n "$plda" ]; then
  system+=(--plda "$plda")
  inputs+=(--input "$plda")
fi

plain=$scores
[ "$norm" = none ] || plain=$scores.plain
once --title "scores of $exp" --done "$plain.done" --input "$trials" "${inputs[@]}" \
  --output "$plain" --force "$force" -- \
  python -m sv.bin.score --trials "$trials" "${system[@]}" --output "$plain"
[ "$norm" != none ] || exit 0

members=(--cohort "scp:$(embeddings "$cohort").scp" --cohort-size "$cohort_size")
inputs+=(--input "$(embeddings "$cohort").ark" --input "$plain")
if [ -n "$utt2cluster" ]; then
  members+=(--cohort-utt2cluster "$utt2cluster")
  inputs+=(--input "$utt2cluster")
fi
if [ -n "$utt2spk" ]; then
  members+=(--cohort-utt2spk "$utt2spk")
  inputs+=(--input "$utt2spk")
fi
exec once --title "$norm-norm of the scores of $exp" --done "$scores.done" "${inputs[@]}" \
  --output "$scores" --force "$force" -- \
  python -m sv.bin.normalize_scores --scores "$plain" --kind "$norm" --top-n "$top_n" \
  "${system[@]}" "${members[@]}" --output "$scores"
