#!/usr/bin/env bash
# Stage 7 for any corpus: scores of the trials of a data directory by one system or several, in
# <exp>/scores/<name> of each. Without options they are cosines. With --crops N a score is the mean
# over all pairs of crops (embed.sh --crops N), of a system of its own, <exp>-crops<N>.
#
# Usage: score.sh [options] <data> <exp> ...
set -euo pipefail

trials=           # FILE: trial list, if not <data>/trials
name=             # of the score file, where a set has several lists; default: that of <data>, by
                  # set_name
center=           # DIR: data directory of a training set whose mean embedding is subtracted; no labels
whiten=           # DIR: data directory of a training set on whose embeddings whitening is learned; no
                  # labels. Scores with and without it are two systems: give --out
whiten_kind=      # program: zca or pca
whiten_shrinkage= # program: weight of equal variances
whiten_dim=       # program: dimensions to keep, for pca
plda=             # FILE: score by this model of plda.sh instead of the cosine
norm=none         # none, z, t, s or as: normalise by the cohort
cohort=           # DIR: data directory of a training set; its utterances are the cohort. No labels
cohort_size=      # program: utterances of the cohort, spread over the list; 0 for all
utt2cluster=      # FILE: the cohort are the means of these clusters; no labels
utt2spk=          # FILE: the cohort are the means of true speakers; every result is marked
top_n=            # program: of the cohort, for --norm as
sample=false      # true: of training sets take the sample that embed.sh --train has embedded
crops=            # N: score N crops of each utterance; a cohort or centre is of whole utterances
out=              # DIR: write to <out>/scores instead: another system beside the plain one
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1
shift
trials=${trials:-$data/trials}

case $norm in
  none | z | t | s | as) ;;
  *) echo "score.sh: --norm takes none, z, t, s or as, not '$norm'" >&2; exit 2 ;;
esac
if [ "$norm" != none ] && [ -z "$cohort" ]; then
  echo "score.sh: --norm $norm needs --cohort, the data directory of a training set" >&2
  exit 2
fi
if [ -n "$out" ] && [ $# -gt 1 ]; then
  echo "score.sh: --out $out is for one system: call score.sh for each of $*" >&2
  exit 2
fi

learn_whitening() { # experiment, its embeddings of the training set; sets $whitening
  local settings=() kind
  kind=${whiten_kind:+-$whiten_kind}${whiten_shrinkage:+-$whiten_shrinkage}${whiten_dim:+-$whiten_dim}
  whitening=$1/whitening/$(basename -- "$2")$kind.safetensors
  hand_on settings whiten_kind whiten_shrinkage whiten_dim
  once --title "whitening of $1" --done "$whitening.done" --input "$2.scp" --input "$2.ark" \
    --output "$whitening" --force "$force" -- \
    python -m sv.bin.whiten --embeddings "scp:$2.scp" ${settings[@]+"${settings[@]}"} \
    --out "$whitening"
}

score() { # experiment
  local exp=$1 scores=${out:-$1${crops:+-crops$crops}}/scores plain system inputs members of few=''
  embeddings() { printf '%s' "$exp/embeddings/$(set_name "$exp/embeddings" "$1")"; } # of a set
  if $sample; then few=.sample; fi

  scores=$scores/${name:-$(set_name --claim "$scores" "$data")}
  of=$(embeddings "$data")${crops:+.crops$crops}
  system=(--embeddings "scp:$of.scp")
  inputs=(--input "$of.scp" --input "$of.ark")
  if [ -n "$center" ]; then
    system+=(--center-on "scp:$(embeddings "$center")$few.scp")
    inputs+=(--input "$(embeddings "$center")$few.ark")
  fi
  if [ -n "$whiten" ]; then
    learn_whitening "$exp" "$(embeddings "$whiten")$few"
    system+=(--whitening "$whitening")
    inputs+=(--input "$whitening")
  fi
  [ -z "$plda" ] || inputs+=(--input "$plda")
  hand_on system plda

  plain=$scores
  [ "$norm" = none ] || plain=$scores.plain
  once --title "scores of $exp" --done "$plain.done" --input "$trials" "${inputs[@]}" \
    --output "$plain" --force "$force" -- \
    python -m sv.bin.score --trials "$trials" "${system[@]}" --output "$plain"
  [ "$norm" != none ] || return 0

  members=(--cohort "scp:$(embeddings "$cohort")$few.scp")
  hand_on members cohort_size top_n
  inputs+=(--input "$(embeddings "$cohort")$few.ark" --input "$plain")
  if [ -n "$utt2cluster" ]; then
    members+=(--cohort-utt2cluster "$utt2cluster")
    inputs+=(--input "$utt2cluster")
  fi
  if [ -n "$utt2spk" ]; then
    members+=(--cohort-utt2spk "$utt2spk")
    inputs+=(--input "$utt2spk")
  fi
  once --title "$norm-norm of the scores of $exp" --done "$scores.done" "${inputs[@]}" \
    --output "$scores" --force "$force" -- \
    python -m sv.bin.normalize_scores --scores "$plain" --kind "$norm" \
    "${system[@]}" "${members[@]}" --output "$scores"
}

for exp in "$@"; do score "$exp"; done
