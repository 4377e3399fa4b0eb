#!/usr/bin/env bash
# Stage 6 for any corpus: one vector for each utterance of a data directory, in
# <exp>/embeddings/<name of data>.{ark,scp}; set_name gives the name. With --crops N one vector for
# each of N crops, in <name of data>.crops<N>.{ark,scp} beside it; with --sample N of N utterances
# alone, in <name of data>.sample.{ark,scp}.
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
sample=      # program: so many utterances, spread over the list: enough to centre, whiten, normalise
train=       # DIR: training set; besides, embed a sample of it (--cohort), for score_kinds.sh
cohort=${cohort:-6000} # utterances of the sample of --train
force=${force:-false} # run it even if complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
model=$1 data=$2 exp=$3
if [ -n "$train" ] && [ "$cohort" -gt 0 ]; then
  nj=$nj ngpu=$ngpu nnodes=$nnodes force=$force "$0" --processes "$processes" \
    --precision "$precision" --sample "$cohort" "$model" "$train" "$exp"
fi
read -r -a launch <<< "${cmd:-launch}"
name=$(set_name --claim "$exp/embeddings" "$data")${crops:+.crops$crops}${sample:+.sample}
hears=()
hand_on hears crops crop_seconds precision sample
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
