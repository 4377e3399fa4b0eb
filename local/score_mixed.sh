#!/usr/bin/env bash
# Stage 7 of v4, for any corpus: scores of the trials of a data directory by several systems. The
# system <exp>-sources is the experiment <exp> scored by its best pair of separated sources.
#
# Usage: score_mixed.sh [options] <data> <system> ...
set -euo pipefail

train=                 # DIR: training set, for score_kinds.sh; without it cosines only
ngpu=${ngpu:-0}        # above 0: ask for a GPU, of which one is used; 0: one if any
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
export ngpu force
data=$1
for system in "${@:2}"; do
  case $system in
    *-sources) score_sources.sh "$data" "${system%-sources}" ;;
    *)
      if [ -n "$train" ]; then
        score_kinds.sh "$data" "$train" "$system"
      else
        score.sh "$data" "$system"
      fi
      ;;
  esac
done
