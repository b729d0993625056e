#!/usr/bin/env bash
# Delete the mailboxes of the people who have left, one address a line on standard input.
#
#   mbx list --domain example.com -o value | grep '^former\.' | examples/offboard.sh --dry-run
#
# Options go to mbx as they are. Safe to run again: who is gone already counts as done. Ends with the number of
# mailboxes that could not be deleted, and names them.
set -uo pipefail

failed=0
while read -r address; do
  [ -n "$address" ] || continue
  if ! mbx delete "$address" --yes --if-missing ok -o csv --no-headers --columns address,outcome "$@" </dev/null; then
    echo "not deleted: $address" >&2
    failed=$((failed + 1))
  fi
done
exit "$((failed > 125 ? 125 : failed))"
