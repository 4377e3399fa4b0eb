#!/usr/bin/env bash
# Stage 8 for any corpus: a table of error rates of one experiment or more on the same trials, and
# in <exp>/report of the first one report.html, report.json and the pictures. True labels in
# labels/<name> beside the data directory, where there are any, make the intervals right.
# The first experiment also becomes a model directory to use and to copy, <exp>/model, calibrated
# on these trials.
#
# Usage: report.sh [options] <data> <exp> ...
set -euo pipefail

trials=              # FILE: trial list, if not <data>/trials
name=                # of the scores, as for score.sh; the report goes to <exp>/report/<name>
p_target=            # program: priors of a target trial for minDCF
train=               # DIR: training set to compare with the trials, if not train beside <data>
results=             # FILE: append a row for the first experiment to this table
score=${score:-cosine} # score that is the system, and the model's: cosine, centred, whitened or as-norm
calibrate_on=${calibrate_on:-} # DIR: development set on whose trials the model is calibrated, instead
                     # of these; <exp>/report/calibrated then has the calibrated scores
whitening=           # FILE: the model whitens by this file of score.sh --whiten; give the whitened
                     # system too, so that the model card has its figures
out=                 # DIR: write the report there, and no model: a comparison of experiments

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
data=$1 exp=$2 as_given=$2
shift
[[ $exp == /* ]] || exp=$PWD/$exp # the report's place is printed for somebody in another folder
report=${out:-$exp/report${name:+/$name}}
set=$(basename -- "$data")
labels=$(dirname -- "$data")/labels/$set
train=${train:-$(dirname -- "$data")/train}
trials=${trials:-$data/trials}

priors=() options=() known=()
[ -z "$p_target" ] || read -r -a priors <<< "--p-target $p_target"
scores_of() { printf '%s' "$1/scores/${name:-$(set_name "$1/scores" "$data")}"; } # of a system
for system in "$@"; do options+=("$(scores_of "$system")"); done
for table in utt2spk utt2group utt2session; do
  [ ! -e "$labels/$table" ] || known+=("--$table" "$labels/$table")
done
[ ! -e "$train/utt2spk" ] || known+=(--train-data "$train")
if [ -n "$results" ]; then options+=(--results "$results"); fi

python -m sv.bin.report --trials "$trials" ${priors[@]+"${priors[@]}"} \
  --score "$score" --kinds centred whitened as-norm --out "$report" --scores "${options[@]}" \
  ${known[@]+"${known[@]}"}

if [ -z "$out" ] && [ -e "$exp/final.pt" ]; then
  options=(--exp "$exp" --out "$exp/model")
  [ ! -e "$train/utt2dur" ] || options+=(--train-data "$train")
  hand_on options whitening
  of=$(scores_of "$exp") # the other kinds have the same name
  [ "$score" = cosine ] || options+=(--like "$exp/$score/scores/${of##*/}")
  if [ -n "$calibrate_on" ]; then
    export score
    # By the name that stage 7 had, for otherwise its work would count as another's.
    embed.sh "$as_given/final.pt" "$calibrate_on" "$as_given"
    if [ "$score" = cosine ]; then kind=''; else kind=/$score; fi
    score_kinds.sh "$calibrate_on" "$(dirname -- "$calibrate_on")/train" "$as_given"
    calibrate.sh --name "${of##*/}" "$calibrate_on" "$data" "$exp/calibrated" "$as_given$kind"
    python -m sv.bin.report --trials "$trials" ${priors[@]+"${priors[@]}"} --out "$report/calibrated" \
      --scores "$exp/calibrated/scores/${of##*/}" ${known[@]+"${known[@]}"}
    set -- "$calibrate_on" "$calibrate_on/trials"
  else
    set -- "$data" "$trials"
  fi
  embeddings=$exp/embeddings/$(set_name "$exp/embeddings" "$1").scp
  [ ! -e "$embeddings" ] || options+=(--embeddings "$embeddings" --trials "$2")
  python -m sv.bin.package "${options[@]}"
fi
