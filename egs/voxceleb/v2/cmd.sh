# shellcheck shell=bash
# How this recipe runs its jobs. `launch --help` explains the options.
export cmd="launch --backend local --max-jobs 2"
