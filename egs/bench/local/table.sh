#!/usr/bin/env bash
# Writes the table of a claim to exp/<claim>.md, with the floors, the ceilings, and every difference
# from the base (from `further` for systems that go on from it) on the same draws of speakers.
#
# Usage: table.sh [options]
set -euo pipefail

claim=        # FILE of systems; empty: the reference only
seeds=        # numbers of the experiments of every system, as "0 1 2"

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../path.sh"
against=base
systems=(base)
ceilings=(ceiling)
if [ -n "$claim" ]; then
  while read -r system how _; do
    case $system in '' | '#'*) continue ;; esac
    case $how in baseline) against=$system ;; esac
    case $how in speakers | aam) ceilings+=("$system") ;; *) systems+=("$system") ;; esac
  done < "$claim"
fi
floors=(untrained)
for floor in mean-filterbank mean-cepstra ivector; do floors+=("$floor" "$floor-whitened"); done
name=${claim:-reference}
read -r -a numbers <<< "$seeds"
python -m sv.bin.bench_table --trials data/test/trials --utt2spk data/labels/test/utt2spk \
  --exp exp --seeds "${numbers[@]}" --against "$against" --systems "${systems[@]}" \
  --ceilings "${ceilings[@]}" --floors "${floors[@]}" --out "exp/${name##*/}.md"
