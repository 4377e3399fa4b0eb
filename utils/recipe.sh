# shellcheck shell=bash
# The options that every recipe has. egs/<corpus>/local/corpus.sh sources this file and adds those
# of the corpus. A recipe sources corpus.sh and adds its own, or other defaults (parse_options.sh).
option_files+=("${BASH_SOURCE[0]}")

stage=0      # first stage to run
stop_stage=8 # last stage to run
data=auto    # DIR|auto|own: recipe folder whose data, features and banks to use; own: make them
             # here; auto: those that are here, else those of ../v1, ../v2 or ../v3 if they are
             # complete and made with the options that you give, else make them here
nj=2         # parallel jobs
ngpu=0       # GPUs, a process for each, on each machine; 0: one process, a GPU if any
nnodes=1     # machines with --ngpu GPUs each
set=         # settings that replace those in conf/: "optim.lr=0.0005 train.epochs=20"
seed=0       # seed of the first weights and of the order of training
last=10      # largest number of epochs to average for the final model
name=        # another name for the experiments, which are folders in exp/
score=cosine # score that the report calls the system, and the model uses: cosine, centred, whitened
             # or as-norm. The others stand beside it. Choose it before you see the test
cohort=6000  # training utterances to centre, whiten and normalise scores with; 0: cosines only
dev_speakers=0 # speakers of the training set to hold out as a development set: the log has its error
             # rate, and settings may be chosen by it. True speakers are labels: the result is marked
dev_labels=  # FILE: other speakers for it: the utt2cluster of an earlier stage 4, without true labels
calibrate="test" # the model is calibrated on the trials of: test, or dev with --dev-speakers
force=false  # run stages even if they are complete
