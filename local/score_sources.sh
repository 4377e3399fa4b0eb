#!/usr/bin/env bash
# Stage 7 for a separative encoder: scores of the trials of a data directory by the best pair of
# separated sources, in <exp>-sources/scores/<name of data>: a system beside the plain one.
#
# Usage: score_sources.sh [options] <data> <exp>
set -euo pipefail

trials=         # FILE: trial list, if not <data>/trials
name=           # of the score file; default: the name of <data>
least_share=    # program: share of the energy from which a source is a speaker
ngpu=${ngpu:-0} # above 0: ask for a GPU, of which one is used; 0: one if any
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 exp=$2
trials=${trials:-$data/trials}
name=${name:-$(set_name --claim "$exp-sources/scores" "$data")}
settings=()
hand_on settings least_share
read -r -a launch <<< "${cmd:-launch}"
scores=$exp-sources/scores/$name

what=(--title "scores of the sources of $exp" --done "$scores.done" --input "$trials"
  --input "$exp/final.pt" --input "$data/feats.scp" --output "$scores" --key "${settings[*]}")
. begin.sh "${what[@]}" --force "$force"

[ "$ngpu" -eq 0 ] || launch+=(--gpu 1)
LAUNCH_TITLE="scores of the sources of $exp" "${launch[@]}" "$exp/log/score_sources.$name.log" \
  python -m sv.bin.score_sources --model "$exp/final.pt" --data "$data" --trials "$trials" \
  --output "$scores" ${settings[@]+"${settings[@]}"}
once mark "${what[@]}"
