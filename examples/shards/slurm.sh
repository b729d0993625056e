#!/usr/bin/env bash
# Four tasks of a Slurm array, each with its part of people.csv: `sbatch examples/shards/slurm.sh`. A task that lost its
# node is queued again and goes on where it was, because the folder is on a file system that all nodes share.
#
# MBX_PROVIDER and the secret come from a profile, ~/.config/mbx/config.toml, or from the environment of sbatch.
#SBATCH --job-name=mailboxes
#SBATCH --array=0-3
#SBATCH --ntasks=1
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mailboxes-%A-%a.jsonl
set -euo pipefail

shard=$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT
exec examples/shards/create.sh people.csv "$shard" "mailboxes-$SLURM_ARRAY_JOB_ID" -o jsonl
