# shellcheck shell=bash
# How this recipe runs its jobs; train_cmd is for training alone, by default the same as cmd.
# `launch --help` explains the options, `check_cmd` tries them out. In a queue, for example:
#   export cmd="launch --backend slurm --mem 4G --time 4:00:00"
#   export train_cmd="launch --backend slurm --mem 32G --time 24:00:00 --num-threads 8"
# or sge for slurm; conf/slurm.conf or conf/sge.conf holds what is peculiar to a site. Kaldi's
# queue.pl and slurm.pl serve as well.
export cmd="launch --backend local --max-jobs 2"
