#!/usr/bin/env bash
# Stage 8 of v4, for any corpus: a report for each list of trials, clean and adverse, and a table of
# all of them: EER by SNR and system, in exp/report/conditions.{md,png}.
#
# Usage: report_mixed.sh [options] <data> <system> ...
set -euo pipefail

levels=  # SNR in dB of the adverse lists, which are <data>_<level>db
results= # FILE: append a row for the first system and each list to this table

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1
shift

report.sh --results "$results" "$data" "$@"
reports=("clean=$1/report/report.json")
for level in $levels; do
  out=exp/report/$(basename -- "$data")_${level}db
  report.sh --out "$out" --results "$results" "${data}_${level}db" "$@"
  reports+=("$level dB=$out/report.json")
done
python -m sv.bin.report_conditions --reports "${reports[@]}" --out exp/report/conditions
