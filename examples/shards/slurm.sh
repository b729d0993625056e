#!/usr/bin/env bash
# Four tasks of a Slurm array, each with its part of people.csv, in a folder that all nodes share:
#
#   sbatch --export="ALL,PEOPLE_SHA256=$(sha256sum people.csv | cut -d' ' -f1)" examples/shards/slurm.sh
#
# MBX_PROVIDER and the secret come from a profile, ~/.config/mbx/config.toml, or from the environment of sbatch.
#
# The folder of journals and passwords is named by the digest of people.csv. Submit the same file again after anything: the
# tasks go on where they were, and no task works on a file that was edited. When all have ended, one report and one exit
# code tell of all parts:
#
#   mbx bulk show --merge mailboxes-…
#SBATCH --job-name=mailboxes
#SBATCH --array=0-3
#SBATCH --ntasks=1
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mailboxes-%A-%a.jsonl
#SBATCH --error=mailboxes-%A-%a.err
#SBATCH --signal=B:USR1@60
set -euo pipefail

# The number of tasks in --array. It must not change while a file is worked on.
parts=4
part=$SLURM_ARRAY_TASK_ID
folder=$PWD/mailboxes-${PEOPLE_SHA256:?is not set; submit as the comment in this script says}
umask 077
mkdir -p "$folder"
export XDG_STATE_HOME=$folder # a path that is not absolute would not count

mbx bulk create people.csv --shard "$part/$parts" --run "people-$part" --input-digest "$PEOPLE_SHA256" --if-exists ok \
  --generate-password --password-out "$folder/passwords-$part.csv" --wait-lock 5m --yes -o jsonl &
# A minute before the time is up, Slurm tells the shell, which interrupts mbx. At the end of a job it tells both.
trap 'kill -INT $!' USR1
cancelled=
trap 'cancelled=1' TERM
# The first wait ends with mbx or with a signal, the second with mbx, when its requests have ended.
code=0
wait $! || wait $! || code=$?

# Slurm itself requeues a task only when a node failed. Here another try helps as well: after the exit codes that the
# README says to repeat, after a kill (137), and when the time was up (130). A cancelled task is left alone. Where five
# restarts are not enough, submit again.
[ -z "$cancelled" ] || exit "$code"
case $code in
  1[1-6] | 19 | 130 | 137)
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then
      # One task has the number of the whole array, which would requeue all of them.
      scontrol requeue "${SLURM_ARRAY_JOB_ID}_$part"
    fi
    ;;
esac
exit "$code"
