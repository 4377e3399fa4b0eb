#!/usr/bin/env bash
# End of stage 5 of v5 for any corpus: what a round came to, in <exp>/round: losses.png, a histogram
# of the losses with the gate, and round.json. True labels, in labels/ beside the data directory,
# add figures for diagnosis where there are any.
#
# Usage: report_round.sh [options] <clusters> <data> <exp>
set -euo pipefail

force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
clusters=$1 data=$2 exp=$3
known=() what=() labels=$(dirname -- "$data")/labels/$(basename -- "$data")/utt2spk
[ ! -e "$labels" ] || known=(--labels "$labels") what=(--input "$labels")

once --title "report of $exp" --done "$exp/.round.done" --input "$exp/checkpoints/last.pt" \
  --input "$clusters/utt2cluster" ${what[@]+"${what[@]}"} --output "$exp/round/round.json" \
  --output "$exp/round/losses.png" --force "$force" -- python -m sv.bin.report_round \
  --exp "$exp" --data "$data" --clusters "$clusters" --out "$exp/round" ${known[@]+"${known[@]}"}
