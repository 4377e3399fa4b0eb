# shellcheck shell=bash
# For the run.sh of a recipe: `. stages.sh` (path.sh puts it on the PATH), then
#   if stage 3 "pretrain"; then ...; fi
# is true for the stages from $stage to $stop_stage and prints a header with the time so far.
# The scripts of local/ take nj, ngpu, nnodes, force, score and cohort from here, as they take cmd from
# cmd.sh; an option that a recipe gives to a script beats it. $train is the training set.

# shellcheck disable=SC2154 # the recipe sets stage and stop_stage
[ "$stage" -le "$stop_stage" ] || {
  echo "${0##*/}: --stage $stage is after --stop-stage $stop_stage: nothing to do" >&2
  exit 2
}
case $score in
  cosine | centred | whitened | as-norm) ;;
  *) echo "${0##*/}: --score takes cosine, centred, whitened or as-norm, not '$score'" >&2; exit 2 ;;
esac
export nj ngpu nnodes force score cohort
train=data/train dev='' calibrate_on=''
[ "$dev_speakers" -eq 0 ] || { dev=data/dev$dev_speakers train=data/dev$dev_speakers/train; }
case $calibrate in
  test) ;;
  dev) calibrate_on=$dev/dev ;;
  *) echo "${0##*/}: --calibrate takes test or dev, not '$calibrate'" >&2; exit 2 ;;
esac
if [ "$calibrate_on" = /dev ]; then
  echo "${0##*/}: --calibrate dev needs a development set: give --dev-speakers" >&2
  exit 2
fi
export dev calibrate_on

# Stage 1 ends with it: the development speakers leave the training set.
hold_out() {
  [ -z "$dev" ] ||
    hold_out.sh --speakers "$dev_speakers" --labels "$dev_labels" data/train "$dev"
}

python "$SV_ROOT/utils/check_gpu" || true # a note on GPUs; it stops nothing

SECONDS=0 # the making of the environment, before this, is not the recipe's time
elapsed() { printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }

stage() { # number, title
  if [ "$stage" -gt "$1" ] || [ "$stop_stage" -lt "$1" ]; then return 1; fi
  echo
  echo "== stage $1: $2 ($(elapsed) so far)"
}

. shared_data.sh
choose_data
