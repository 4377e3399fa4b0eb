#!/usr/bin/env bash
# Contrastive separative coding on VoxCeleb2 dev, without labels; VoxCeleb1-O, clean and with
# another person over the test side. ../README.md has folder layouts, sizes and licences.
#
# Usage: run.sh --voxceleb1 DIR --voxceleb2 DIR [--download true] [options]
set -euo pipefail

stage=0                   # first stage to run
stop_stage=8              # last stage to run
voxceleb1=                # DIR: VoxCeleb1, dev and test
voxceleb2=                # DIR: VoxCeleb2, dev; m4a is converted by ffmpeg
musan=corpus/musan        # DIR: noises, music and speech
rirs=corpus/RIRS_NOISES   # DIR: room responses
trials=corpus/trials      # DIR: veri_test2.txt, list_test_all2.txt, list_test_hard2.txt
download=false            # fetch trials, MUSAN and RIRS_NOISES if they are not there
train_set=voxceleb2       # voxceleb2 (dev), voxceleb1 (dev), or several joined by +
counts=published          # FILE|published|any: counts that corpora and lists must have
converted=corpus          # DIR: where m4a files are converted to
nj=2                      # parallel jobs
ngpu=0                    # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=1                  # machines with --ngpu GPUs each
configs="csc simclr_noise simclr_mixtures" # systems: conf/<config>.yaml; the others are ablations
set=                      # settings over those of every system: "optim.lr=0.0005 train.epochs=20"
levels="10 5 0"           # of the test speaker over the other person, dB; "": clean trials only
sides="test"              # test or both: which sides of a trial another person speaks over
seed=0                    # of the first weights and of the order of training
last=10                   # epochs to average for the final model, at most
name=                     # the experiments are exp/<name><config>-<seed>
force=false               # run stages even if they are complete

. "$(dirname -- "${BASH_SOURCE[0]}")/../../../utils/parse_options.sh"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. ./cmd.sh
. ./path.sh
. stages.sh
experiment() { echo "exp/$name$1-$seed"; }
systems=() # of those that separate also <system>-sources, scored by the best sources
for config in $configs; do
  systems+=("$(experiment "$config")")
  [[ $config != csc* ]] || systems+=("$(experiment "$config")-sources")
done
sets=(data/voxceleb1) # and data/voxceleb1_10db, ...
for level in $levels; do sets+=("data/voxceleb1_${level}db"); done

if stage 0 "data: find the parts of VoxCeleb, convert m4a, write data directories and trials"; then
  ../local/prepare.sh --voxceleb1 "$voxceleb1" --voxceleb2 "$voxceleb2" --trials "$trials" \
    --train-set "$train_set" --lists o --counts "$counts" --converted "$converted" \
    --download "$download" --nj "$nj" --force "$force" data
  cp data/trials/vox1-o data/voxceleb1/trials
fi

if stage 1 "features: 80-dimensional filterbanks"; then
  for data in data/train data/voxceleb1; do
    extract_features.sh --nj "$nj" --force "$force" "$data" "fbank/${data#data/}"
  done
fi

if stage 2 "augmentation banks; adverse trials, in which another person speaks"; then
  prepare_noises.sh --download "$download" --force "$force" "$musan" "$rirs" data
  make_banks.sh --noise data/musan --rir data/rirs --force "$force" banks
  mix_trials.sh --levels "$levels" --sides "$sides" --nj "$nj" --force "$force" \
    data/voxceleb1 mixtures fbank
fi

if stage 3 "pretrain: $configs"; then
  for config in $configs; do
    known=() # true speakers, for the one ablation that is supervised
    [[ $config != *supervised ]] || known=(--labels data/labels/train/utt2spk)
    train.sh --config "conf/$config.yaml" --set "$set" --seed "$seed" --ngpu "$ngpu" \
      --nnodes "$nnodes" --force "$force" "${known[@]}" data/train banks "$(experiment "$config")"
  done
fi

if stage 4 "cluster"; then echo "v4 trains without clusters: nothing to do"; fi
if stage 5 "train: second phase"; then echo "v4 has one phase: nothing to do"; fi
if stage 6 "embed the test sets"; then
  for config in $configs; do
    exp=$(experiment "$config")
    average.sh --last "$last" --force "$force" "$exp"
    options=(--nj "$nj" --ngpu "$ngpu" --nnodes "$nnodes" --force "$force")
    for data in "${sets[@]}"; do embed.sh "${options[@]}" "$exp/final.pt" "$data" "$exp"; done
  done
fi

if stage 7 "score the trials, clean and adverse: cosine"; then
  for system in "${systems[@]}"; do
    for data in "${sets[@]}"; do
      case $system in
        *-sources) score_sources.sh --ngpu "$ngpu" --force "$force" "$data" "${system%-sources}" ;;
        *) score.sh --force "$force" "$data" "$system" ;;
      esac
    done
  done
fi

if stage 8 "report: a table for each list"; then
  for data in "${sets[@]}"; do
    [ "$data" = data/voxceleb1 ] && out='' || out=exp/report/${data#data/} # clean: also a model
    report.sh --out "$out" --results exp/RESULTS.md "$data" "${systems[@]}"
  done
fi
echo "complete after $(elapsed)"
