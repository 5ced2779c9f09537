#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a reader may rely on in every file: the format of the C code, complete translations, nothing that ties the sources to
# one machine or registry.
# usage: tidy.sh SOURCE [translations]
set -u -o pipefail
cd "$1" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/derush-tidy-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
n=0 failed=0

# A check fails when it prints something.
check() {   # NAME COMMAND…
  local name=$1; shift
  n=$((n + 1))
  "$@" > "$work/log" 2>&1
  if [ -s "$work/log" ]; then echo "not ok $n - $name"; sed 's/^/# /' "$work/log" | head -n 40; failed=1; else echo "ok $n - $name"; fi
}

# The sources, without what the build and npm put beside them.
files() { find data dev docs meson.build meson_options.txt pipelines plugins po runner tests README.md .ci package.json package-lock.json -type f "$@" 2> /dev/null; }
c_files() { files \( -name '*.c' -o -name '*.h' \) | sort; }

format() { c_files | xargs clang-format --dry-run -Werror; }
licence() { c_files | while read -r file; do head -n 1 "$file" | grep -qF 'SPDX-License-Identifier: LGPL-2.1-or-later' || echo "$file does not begin with its licence"; done; }
length() { c_files | while read -r file; do [ "$(wc -l < "$file")" -le 960 ] || echo "$file has $(wc -l < "$file") lines"; done; }
potfiles() {
  grep -v '^#' po/POTFILES.in | LC_ALL=C sort -C || echo 'po/POTFILES.in is not sorted'
  grep -v '^#' po/POTFILES.in | while read -r file; do [ -f "$file" ] || echo "po/POTFILES.in names $file, which is not there"; done
  find runner plugins -name '*.[ch]' -print0 | xargs -0 grep -lE '\b(N?_|ngettext|Q_|C_) ?\(' | while read -r file; do
    grep -qxF "$file" po/POTFILES.in || echo "po/POTFILES.in lacks $file"
  done
}
template() { xgettext --from-code=UTF-8 -k_ -kN_ -kQ_:1g -kC_:1c,2 -kngettext:1,2 -kg_dngettext:2,3 -o "$work/derush.pot" -f po/POTFILES.in 2>&1 | grep -v 'warning: .*charset'; }
# G_GINT64_FORMAT and its like end a message for xgettext, and what it cuts is never found in a catalogue; PRId64 and %zu are whole.
messages() {
  template > /dev/null
  grep -n '%"$' "$work/derush.pot" | grep -v '%%"$'
}
translations() {
  local language missing
  template > /dev/null
  for language in $(grep -v '^#' po/LINGUAS); do
    msgfmt -c -o /dev/null "po/$language.po" > "$work/msgfmt" 2>&1 || cat "$work/msgfmt"
    msgmerge -q -N -o "$work/$language.po" "po/$language.po" "$work/derush.pot" 2>&1
    missing=$(msgattrib --untranslated "$work/$language.po" | grep -c '^msgid ')
    [ "$missing" -le 1 ] || { echo "po/$language.po lacks $((missing - 1)) messages:"; msgattrib --no-obsolete --untranslated --no-location "$work/$language.po" | grep -A2 '^msgid'; }
    msgattrib --only-fuzzy --no-obsolete "po/$language.po" | grep '^msgid'
  done
}
# A registry's address belongs into the configuration of the machine.
registries() {
  files ! -name '*.mp4' ! -path tests/system/tidy.sh -print0 |
    xargs -0 grep -nE 'https?://[^/" ]*(registry|npmmirror|verdaccio|artifactory|nexus|pypi|mirror)|"resolved":'
  [ ! -e .npmrc ] || echo '.npmrc is in the sources'
}
leftovers() { files ! -name '*.mp4' ! -path tests/system/tidy.sh -print0 | xargs -0 grep -nE '\b(TODO|FIXME|XXX)\b|/home/[a-z]'; }
skipped() { files -path 'tests/*' ! -path tests/system/tidy.sh -print0 | xargs -0 grep -nE 'g_test_skip|should_fail|# SKIP'; }

if [ "${2-}" = translations ]; then
  check 'every message is translated' translations
else
  check 'every C file is formatted as .clang-format says' format
  check 'every C file begins with its licence' licence
  check 'no C file is longer than about 900 lines' length
  check 'po/POTFILES.in is complete' potfiles
  check 'no message is cut by a macro in its format' messages
  check 'no file names a package registry' registries
  check 'no file has leftovers of its making' leftovers
  check 'no test is skipped or expected to fail' skipped
fi
echo "1..$n"
exit $failed
