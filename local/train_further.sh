#!/usr/bin/env bash
# Stage 5 of SSPS for any corpus: go on from a base, and choose where positives come from, so that
# systems differ in nothing else. Everything else is as in train.sh.
#
# Usage: train_further.sh [options] <base> <data> <banks> <exp>
set -euo pipefail

system=ssps              # ssps; baseline: without it; speakers: positives of the true speaker, an
                         # ablation that says what SSPS could gain at most
ssps=                    # settings with ssps and speakers: "ssps.clusters=64 ssps.nearest=0"
config=conf/simclr.yaml  # FILE: settings of model, loss and training
seed=                    # program: of the first weights and of the order of training
set=                     # settings of all systems; train.epochs counts the base's epochs too
ngpu=${ngpu:-0}          # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=${nnodes:-1}      # machines with --ngpu GPUs each
force=${force:-false}    # begin anew, even if complete or half done

. "$(dirname -- "${BASH_SOURCE[0]}")/../utils/parse_options.sh"
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"
base=$1 data=$2 banks=$3 exp=$4
true_labels=$(dirname -- "$data")/labels/$(basename -- "$data")
export ngpu nnodes force
known=()
case $system in
  baseline) ;;
  ssps) set+=" ssps.enabled=true $ssps" ;;
  speakers)
    set+=" ssps.enabled=true $ssps ssps.neighbours=speakers ssps.nearest=0 ssps.mutual=false"
    known=(--labels "$true_labels/utt2spk")
    ;;
  *)
    echo "train_further.sh: --system $system is none of ssps, baseline, speakers" >&2
    exit 2
    ;;
esac
exec train.sh --config "$config" --set "$set" --seed "$seed" --base "$base" "${known[@]}" \
  --oracle "$true_labels" "$data" "$banks" "$exp"
