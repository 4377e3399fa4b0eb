#!/usr/bin/env bash
# Stage 6 for any corpus: one vector for each utterance of a data directory, in
# <exp>/embeddings/<name of data>.{ark,scp}. With --crops N one vector for each of N crops, in
# <name of data>.crops<N>.{ark,scp} beside it.
#
# Usage: embed.sh [options] <model> <data> <exp>
set -euo pipefail

nj=${nj:-1}  # pieces, and jobs that work on them, without --ngpu; unless the option is given, pieces
             # have at least 1,000 utterances, for a job takes seconds to start
ngpu=${ngpu:-0} # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=${nnodes:-1} # machines with --ngpu GPUs each
processes=   # processes on each machine, if not one for each GPU; several leave --nj no work
crops=       # program: so many evenly spaced crops of each utterance, 10 as in papers
crop_seconds= # program: length of a crop
precision=   # program: arithmetic; bfloat16 is faster
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
model=$1 data=$2 exp=$3
read -r -a launch <<< "${cmd:-launch}"
name=$(basename -- "$data")${crops:+.crops$crops}
hears=()
hand_on hears crops crop_seconds precision
out=$exp/embeddings/$name

what=(--title "embeddings of $data in $exp" --done "$exp/embeddings/.$name.done"
  --input "$model" --input "$data/feats.scp" --input "$data/utt2num_frames"
  --output "$out.scp" --output "$out.ark" --key "${hears[*]}")
for file in wav_ark.scp utt2num_samples feats_preset; do # the first two for models of waveforms
  [ ! -e "$data/$file" ] || what+=(--input "$data/$file")
done
. begin.sh "${what[@]}" --force "$force"

utterances=$(wc -l < "$data/feats.scp")
most=$utterances
[[ $given_options = *" nj "* ]] || most=$(((utterances + 999) / 1000))
nj=$((nj < most ? nj : most))
. in_processes.sh
in_processes sv.bin.embed "$exp" "embed.$name"
[ "$ngpu" -eq 0 ] && [ "${job[1]}" = python ] || nj=1 # else they divide the work themselves
if [ "$nj" -le 1 ]; then
  LAUNCH_TITLE="embeddings of $data by $model" "${launch[@]}" "${job[@]}" \
    --model "$model" --data "$data" --out "$out" ${hears[@]+"${hears[@]}"}
else
  LAUNCH_TITLE="embeddings of $data by $model" "${launch[@]}" "JOB=1:$nj" \
    "$exp/log/embed.$name.JOB.log" python -m sv.bin.embed --model "$model" --data "$data" \
    --job JOB --num-jobs "$nj" --out "$out.pieces/JOB" \
    ${hears[@]+"${hears[@]}"} ${device[@]+"${device[@]}"}
  python -m sv.bin.merge_embeddings --pieces "$out.pieces" --num "$nj" --out "$out"
  rm -rf -- "$out.pieces"
fi
once mark "${what[@]}"
