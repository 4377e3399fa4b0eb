#!/usr/bin/env bash
# Stage 3 (and 5) for any corpus: train a network on the features of a data directory. Started
# again after an interruption, it goes on from the last checkpoint to the same result. Checkpoints
# of other settings or data are never overwritten unless --force true says so.
#
# Usage: train.sh [options] <data> <banks> <exp>
set -euo pipefail

config=conf/simclr.yaml  # FILE: settings of model, loss and training
seed=                    # program: of the first weights and of the order of training
set=                     # settings over those of --config: "optim.lr=0.0005 train.epochs=20"
base=                    # DIR: experiment to go on from; train.epochs counts its epochs too
encoder=                 # FILE: weights or model directory, from whose encoder training starts
labels=                  # FILE: utt2spk, for methods that learn from true speakers
clusters=                # DIR: clusters of the speakers (stage 4), for batches.hard_ratio above 0
oracle=                  # DIR: true labels, for figures in the log; the weights stay the same
dev=${dev:-}             # DIR: of hold_out.sh: the log has the error rate of its development set
ngpu=${ngpu:-0}          # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=${nnodes:-1}      # machines with --ngpu GPUs each
processes=               # processes on each machine, if not one for each GPU
force=${force:-false}    # begin anew, even if complete or half done

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 banks=$2 exp=$3
if [ ! -e "$config" ]; then
  echo "train.sh: $config: there is no such file of settings; check --config" >&2
  exit 2
fi
if [ -n "$labels" ] && [ ! -e "$labels" ]; then
  echo "train.sh: $labels: there are no true speakers, and this training learns from them: take a" \
    "corpus whose folders tell the speakers, or a recipe without labels (v1)" >&2
  exit 2
fi
read -r -a launch <<< "${train_cmd:-${cmd:-launch}}"
overrides=()
[ -z "$seed" ] || overrides+=(--set "train.seed=$seed")
for setting in $set; do overrides+=(--set "$setting"); done
[ -z "$base" ] || overrides+=(--base "$base")
[ -z "$encoder" ] || overrides+=(--encoder "$encoder")
[ -z "$labels" ] || overrides+=(--labels "$labels")
[ -z "$clusters" ] || overrides+=(--clusters "$clusters")
[ -z "$dev" ] || overrides+=(--dev "$dev")
[ -z "$oracle" ] || [ ! -e "$oracle" ] || overrides+=(--oracle-labels "$oracle")

files=$(python -m sv.bin.config "$config" --files) # with the files it is based on
what=(--title "training of $exp" --done "$exp/.train.done")
while IFS= read -r file; do what+=(--input "$file"); done <<< "$files"
what+=(--input "$data/feats.scp" --input "$data/utt2num_frames" --input "$banks/.banks.done"
  --output "$exp/train.jsonl" --key "seed $seed $set")
for file in wav_ark.scp utt2num_samples feats_preset; do # the first two where data.domain is wave
  [ ! -e "$data/$file" ] || what+=(--input "$data/$file")
done
[ -z "$labels" ] || what+=(--input "$labels")
[ -z "$dev" ] || what+=(--input "$dev/dev/trials")
[ -z "$clusters" ] || what+=(--input "$clusters/utt2cluster")
[ -z "$base" ] || what+=(--input "$base/checkpoints/last.pt")
[ -z "$encoder" ] || what+=(--input "$encoder")
complete=$(cat "$exp/.train.done" 2> /dev/null || true)
. begin.sh "${what[@]}" --force "$force"

. in_processes.sh
in_processes sv.bin.train "$exp" train
LAUNCH_TITLE="training of $exp" "${launch[@]}" "${job[@]}" \
  --config "$config" --data "$data" --banks "$banks" --out "$exp" \
  ${overrides[@]+"${overrides[@]}"} --restart "$force" || {
  status=$?
  # A log ends with the status of the program (sv/cli.py says which), also that of Kaldi's run.pl.
  case $(tail -n 1 "$first_log") in
    *"exit status 2" | "# Ended (code 2)"*) refused=true ;;
    *"exit status 4" | "# Ended (code 4)"*)
      refused=true
      echo "train.sh: a recipe's --name gives another folder, --force true starts over in this" >&2 ;;
    *) refused=false ;;
  esac
  # Settings that were refused have changed nothing: what was complete still is.
  if $refused && [ -n "$complete" ] && [ "$force" = false ]; then
    printf '%s\n' "$complete" > "$exp/.train.done"
  fi
  exit "$status"
}
once mark "${what[@]}"
