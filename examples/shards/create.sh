#!/usr/bin/env bash
# One machine's part of a file of mailboxes. Each of N machines runs this, at the same time or not, and none needs to
# know of the others: the address of a row decides whose it is.
#
#   create.sh FILE I/N FOLDER [OPTION…]
#
# FOLDER gets the journal and the passwords, and must outlive the machine. Run it again after anything, a crash or a
# failure: what is done stays done, what is in doubt is looked up, and what failed is tried again. A new list of people
# needs a new FOLDER. OPTIONs go to mbx. Each part takes an Nth of the account's pace, and of --rate where that is given.
set -euo pipefail

file=$1 shard=$2 folder=$3/${2/\//-of-}
shift 3

umask 077
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
export XDG_STATE_HOME=$folder # a path that is not absolute would not count
passwords=$folder/passwords.csv

run=$(mbx bulk list -o value | tail -n 1)
if [ -n "$run" ]; then
  exec mbx bulk retry "$run" "$@"
fi
# Without a journal nothing was sent, and a file of passwords has none yet.
if [ -e "$passwords" ] && [ "$(wc -l < "$passwords")" -le 1 ]; then
  rm "$passwords"
fi
exec mbx bulk create "$file" --shard "$shard" --if-exists ok --generate-password --password-out "$passwords" --yes "$@"
