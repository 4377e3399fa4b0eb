#!/usr/bin/env bash
# Stage 7 for a separative encoder: scores of the trials of a data directory by the best pair of
# separated sources, in <exp>-sources/scores/<name of data>: a system beside the plain one.
#
# Usage: score_sources.sh [options] <data> <exp>
set -euo pipefail

trials=         # FILE: trial list, if not <data>/trials
name=           # of the score file; default: the name of <data>
least_share=0.1 # share of the energy from which a source is a speaker
force=false     # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 exp=$2
trials=${trials:-$data/trials}
scores=$exp-sources/scores/${name:-$(basename -- "$data")}

exec once --title "scores of the sources of $exp" --done "$scores.done" --input "$trials" \
  --input "$exp/final.pt" --input "$data/feats.scp" --output "$scores" --force "$force" -- \
  python -m sv.bin.score_sources --model "$exp/final.pt" --data "$data" --trials "$trials" \
  --output "$scores" --least-share "$least_share"
