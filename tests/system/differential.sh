#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Usage: differential.sh [WORKER COMMAND]
# Is our worker the same as BullMQ's own? Runs the scenarios of $DERUSH_SHARED/bullmq-differential with both, compares what
# the queues, events and clients saw, and prints TAP, one line per scenario. SCENARIOS=a,b: only these.
set -u -o pipefail
here=$(dirname "$(readlink -f "$0")")
source_directory=${DERUSH_SOURCE_DIR:-$(readlink -f "$here/../..")}
worker=${1:-$here/bullmq-worker.sh}
config=$here/jobs.json
timeout=220 # seconds, for all of it

# Scenarios that may still differ; of them it is only told.
not_yet=' '

harness=${DERUSH_SHARED:?DERUSH_SHARED is not set}/bullmq-differential
[ -f "$harness/harness.mjs" ] || { echo "Bail out! there is no $harness/harness.mjs"; exit 1; }
folder=$(mktemp -d) || exit 1
cleanup() {
  local pid
  for pid in $(jobs -p); do kill "$pid" 2> /dev/null; done
  wait
  rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 143' TERM INT HUP

# The folder of the harness may be read-only, and finds its packages beside itself.
cp -r "$harness"/. "$folder" && chmod -R u+w "$folder" && rm -rf "$folder/node_modules" &&
  ln -s "$source_directory/node_modules" "$folder/node_modules" || exit 1
cd "$folder" || exit 1

if [ -n "${SCENARIOS-}" ]; then only=(--only "$SCENARIOS"); else only=(); fi
mkdir tmp && export TMPDIR=$folder/tmp
timeout $timeout node harness.mjs --reference "${only[@]}" --config "$config" --out reference.json > reference.log 2>&1 &
reference=$!
timeout $timeout node harness.mjs --external "$worker" "${only[@]}" --config "$config" --out ours.json > ours.log 2>&1
wait $reference
for side in reference ours; do
  [ -f $side.json ] || { sed 's/^/# /' $side.log; echo "Bail out! the scenarios did not end with $side"; exit 1; }
done
node harness.mjs compare reference.json ours.json > compare.log

# The harness compares; this only says it per scenario.
number=0 failed=0 different=()
while read -r name; do
  number=$((number + 1))
  said=$(awk -v name="$name" '/^FAIL /{on = $2 == name} on && !/ passed, /' compare.log)
  if [ -z "$said" ]; then
    echo "ok $number - $name"
  elif [[ $not_yet == *" $name "* ]]; then
    different+=("$name")
    echo "ok $number - $name (not yet)"
  else
    failed=$((failed + 1))
    echo "not ok $number - $name"
    sed 's/^/# /' <<< "$said"
  fi
done < <(node harness.mjs --list | if [ -n "${SCENARIOS-}" ]; then grep -xF "${SCENARIOS//,/$'\n'}"; else cat; fi)
[ ${#different[@]} -eq 0 ] || echo "# not yet: ${different[*]}"
[ $number -gt 0 ] || { echo 'Bail out! no scenario was run'; exit 1; }
echo "1..$number"
exit $((failed > 0))
