#!/usr/bin/env bash
# Stage 0 for VoxCeleb: from the folders as they are distributed to <data>/train, <data>/voxceleb1,
# <data>/trials/vox1-{o,e,h}. An interrupted run goes on with the files that are missing.
# Once the corpora are prepared, changes in them are not looked for; --force true looks again.
#
# Usage: prepare.sh [options] <data>
set -euo pipefail

voxceleb1=             # DIR: VoxCeleb1, wav
voxceleb2=             # DIR: VoxCeleb2, m4a or wav
trials=corpus/trials   # DIR: folder of veri_test2.txt, list_test_all2.txt, list_test_hard2.txt
train_set=             # program: voxceleb2 (dev), voxceleb1 (dev), or several joined by +
lists=                 # program: trial lists to prepare
contaminated=          # program: keep, and mark, lists with speakers of the training set
counts=                # FILE|published|any|program: counts to check; a file has lines
                       # '<part> <count> ...'
max_bad=               # program: share of bad audio files that is left out without stopping
converted=corpus       # DIR: where m4a files are converted to
format=                # program: of converted files, flac or wav
download=false         # fetch the trial lists if they are not there
nj=${nj:-2}            # parallel jobs
force=${force:-false}  # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../../../path.sh"
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
data=$1
export nj force
options=() chosen=() limits=()
hand_on options train_set lists counts
hand_on chosen lists
hand_on limits contaminated max_bad

if [ "$download" = true ]; then
  python "$here/fetch_trials.py" ${chosen[@]+"${chosen[@]}"} --out "$trials"
fi
if [ ! -d "$trials" ]; then
  echo "prepare.sh: $trials: there is no such folder of trial lists; give --trials DIR, or" \
    "--download true" >&2
  exit 2
fi

inputs=(--input "$trials")
[ ! -f "$counts" ] || inputs+=(--input "$counts")
what=(--title "VoxCeleb" --done "$data/.voxceleb.done" "${inputs[@]}" --output "$data/train/wav.scp"
  --output "$data/voxceleb1/wav.scp"
  --key "$voxceleb1 $voxceleb2 $converted $format ${limits[*]} ${options[*]}")
. begin.sh "${what[@]}" --force "$force"

roots=()
[ -z "$voxceleb1" ] || roots+=(--voxceleb1 "$voxceleb1")
[ -z "$voxceleb2" ] || roots+=(--voxceleb2 "$voxceleb2")
python "$here/list_audio.py" ${roots[@]+"${roots[@]}"} ${options[@]+"${options[@]}"} \
  --trials "$trials" --out "$data/lists"
while read -r part root; do
  scan_audio.sh --root "$root" --converted "$converted/$part" --format "$format" \
    "$data/lists/$part.scp" "$data/lists/$part" < /dev/null
done < "$data/lists/parts"
python "$here/write_data.py" --scanned "$data/lists" --trials "$trials" \
  ${options[@]+"${options[@]}"} ${limits[@]+"${limits[@]}"} --out "$data"
[ ! -e "$data/trials/vox1-o" ] || cp "$data/trials/vox1-o" "$data/voxceleb1/trials" # by default
once mark "${what[@]}"
