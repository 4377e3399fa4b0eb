#!/usr/bin/env bash
# The front door: makes the environment if need be and runs a recipe, by default the mini corpus
# from nothing to an equal error rate. Every option but --recipe is handed on to the recipe.
#
# Usage: run.sh [--recipe egs/mini/v1] [options of the recipe]
#
#   ./run.sh                               all stages of egs/mini/v1
#   ./run.sh --stage 3                     from stage 3 on
#   ./run.sh --stage 6 --stop-stage 7      stages 6 and 7
#   ./run.sh --recipe egs/custom/v1 --corpus DIR --nj 2
#   ./run.sh --help                        this text, then the options of the recipe
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
recipe=egs/mini/v1
options=()
while [ $# -gt 0 ]; do
  case $1 in
    --recipe) recipe=${2:?"--recipe needs a folder, e.g. egs/custom/v1"}; shift 2 ;;
    --recipe=*) recipe=${1#*=}; shift ;;
    *) options+=("$1"); shift ;;
  esac
done

script=${recipe%/}/run.sh
[ -f "$script" ] || script=$root/$script
if [ ! -f "$script" ]; then
  echo "run.sh: no recipe $recipe; there are: $(cd "$root" && echo egs/*/v*)" >&2
  exit 2
fi
for option in ${options[@]+"${options[@]}"}; do
  if [ "$option" = --help ] || [ "$option" = -h ]; then
    awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
    printf '\nThe recipe %s:\n\n' "$recipe"
  fi
done
exec bash "$script" ${options[@]+"${options[@]}"}
