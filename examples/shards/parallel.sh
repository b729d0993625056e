#!/usr/bin/env bash
# GNU parallel over ssh: each host makes its part of a file of mailboxes.
#
#   parallel.sh FILE HOST…
#
# Each host needs mbx with a profile, ~/.config/mbx/config.toml, and rsync. It keeps the journal and the passwords of its
# part in its home, in a folder that is named by the digest of FILE, so that a part always goes on at its own host. Run
# the same command again after anything. At the end the folders of all hosts are copied to a folder of the same name here,
# the passwords too, and one report and one exit code tell of all parts.
set -euo pipefail

file=$1
shift
parts=$#
digest=$(sha256sum "$file" | cut -d' ' -f1)
folder=mailboxes-$digest
umask 077
mkdir -p "$folder"

part() { # HOST NUMBER
  local host=$1 number=$(($2 - 1)) code=0
  ssh -n "$host" "umask 077 && mkdir -p $folder" || return
  rsync --archive "$file" "$host:$folder/people.csv" || return
  ssh -n "$host" "cd $folder && XDG_STATE_HOME=\$PWD mbx bulk create people.csv --shard $number/$parts" \
    "--run people-$number --input-digest $digest --if-exists ok --generate-password --password-out passwords.csv" \
    "--wait-lock 5m --yes -o jsonl" || code=$?
  # Another try helps after the exit codes that the README says to repeat, after a kill (137), and when ssh failed (255).
  case $code in
    0) ;;
    1[1-6] | 19 | 137 | 255) return "$code" ;;
    *) echo "$host: mbx ended with $code, and another try would not help" >&2 ;;
  esac
}
export -f part
export file parts digest folder

# The report tells of a part that failed at its last try, too.
parallel --jobs 0 --line-buffer --retries 5 part '{}' '{#}' ::: "$@" >> "$folder/rows.jsonl" || true
number=0
for host in "$@"; do
  rsync --archive "$host:$folder/" "$folder/$number/"
  number=$((number + 1))
done
mbx bulk show --merge "$folder"/[0-9]*/
