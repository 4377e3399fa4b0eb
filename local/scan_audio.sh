#!/usr/bin/env bash
# Part of stage 0 for any corpus: read the headers of a long list of audio files in parallel jobs,
# after converting what libsndfile cannot read (m4a, ...) with ffmpeg. Writes the tables
# <out>/scanned.JOB.tsv; an interrupted run goes on with the files that are missing.
#
# Usage: scan_audio.sh [options] <list> <out>
set -euo pipefail

nj=${nj:-2}          # pieces, and jobs that work on them
root=                # DIR|program: folder whose subfolders are kept below --converted
converted=           # DIR|program: where converted files go
format=              # program: of converted files: flac, or wav (1.4 times the space, faster)
force=${force:-false} # run it even if complete; what is converted is kept

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
list=$1 out=$2
read -r -a launch <<< "${cmd:-launch}"
name=$(basename -- "$list" .scp)

settings=()
hand_on settings root converted format
what=(--title "audio files of $name" --done "$out/.scan.done" --input "$list"
  --output "$out/scanned.1.tsv" --key "${settings[*]}")
. begin.sh "${what[@]}" --force "$force"

# Tables of an earlier run with more jobs would be read as part of this one.
former=("$out"/scanned.*.tsv)
nj=$(split_scp "$nj" "$list" "$out/split$nj/files.JOB.scp")
for table in "${former[@]}"; do
  number=${table##*/scanned.}
  [ ! -e "$table" ] || [ "${number%.tsv}" -le "$nj" ] || rm -f -- "$table"
done
LAUNCH_TITLE="audio files of $name" "${launch[@]}" "JOB=1:$nj" "$out/log/scan.JOB.log" \
  python -m sv.bin.scan_audio --scp "$out/split$nj/files.JOB.scp" \
  ${settings[@]+"${settings[@]}"} --out "$out/scanned.JOB.tsv" --force "$force"
# Bad files may be repaired or come back with a disk: they are looked at again next time.
grep -qs $'^bad\t' -- "$out"/scanned.*.tsv || once mark "${what[@]}"
