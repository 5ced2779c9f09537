#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# An installation into a prefix works from there: the build tree it came from is gone when it is tried.
# usage: install.sh SOURCE
set -u -o pipefail
source=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/derush-install-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
n=0 failed=0

result() {   # STATUS NAME
  n=$((n + 1))
  if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; sed 's/^/# /' "$work/log" 2> /dev/null | tail -n 30; fi
}
try() {   # NAME COMMAND…
  local name=$1; shift
  "$@" > "$work/log" 2>&1
  result $? "$name"
}

# Nothing that names the build tree may help.
unset GST_PLUGIN_PATH GST_REGISTRY DERUSH_PIPELINES_DIR DERUSH_DATA_DIR DERUSH_MEDIA_WORKER DERUSH_MODEL_WORKER DERUSH_LOCAL_MODELS DERUSH_BUILD_DIR DERUSH_SOURCE_DIR LD_LIBRARY_PATH
export XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state XDG_DATA_HOME=$work/share XDG_CONFIG_HOME=$work/config DERUSH_CONFIG=
prefix=$work/prefix
try 'it builds for a prefix' sh -c "meson setup '$work/build' '$source' --prefix='$prefix' -Dtests=disabled -Doptimization=0 -Ddebug=false && meson compile -C '$work/build' -j 2"
try 'it installs' meson install -C "$work/build" --no-rebuild
rm -rf "$work/build"

export PATH=$prefix/bin:$PATH
plugins=$(dirname "$(find "$prefix" -name 'libgst*.so' | head -n 1)")
film=$work/film.mp4
try 'a film can be made' ffmpeg -v error -nostdin -y -f lavfi -i testsrc2=s=320x180:r=25 -f lavfi -i sine=f=440:r=48000 -t 3 \
  -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac "$film"
for element in shotdetect highlightdetect bestframe spritesheet; do
  try "gst-inspect-1.0 finds $element" env GST_PLUGIN_PATH="$plugins" GST_REGISTRY="$work/registry.bin" gst-inspect-1.0 "$element"
done
try 'derushd and derush say their version' sh -c 'derush --version | grep -q "^derush [0-9]" && derushd --version | grep -q "[0-9]"'
try 'derush pipeline finds the installed templates' sh -c 'derush pipeline | grep -q "^transcode-mp4"'
try 'derush run makes a film' sh -c "derush run VIDEO_PROCESSING '$film' -o '$work/out' -p quality=low && ffprobe -v error '$work'/out/*.mp4"
try 'derush run makes thumbnails' sh -c "derush run THUMBNAIL_GENERATION '$film' -o '$work/out' -p count=2 && ffprobe -v error '$work'/out/*-thumbnail-001.jpg"
try 'derush run finds highlights' sh -c "derush run HIGHLIGHT_DETECTION '$film' -o '$work/out' --json | grep -q '\"highlights\"'"
try 'the thumbnailer makes a picture with the plugins that were listed at the installation' sh -c "
  [ -s '$prefix/libexec/derush/thumbnailer/registry.bin' ] && derush-thumbnailer -s 128 '$film' '$work/thumb.png' && ffprobe -v error '$work/thumb.png'"
try 'the desktop finds it' grep -q "^Exec=$prefix/bin/derush-thumbnailer -s" "$prefix/share/thumbnailers/derush.thumbnailer"
units=$(find "$prefix" -name 'derushd.service' -printf '%h\n')
try 'systemd takes both units' systemd-analyze verify --man=no "$units/derushd.service" "$units/derushd@.service"
for unit in derushd.service derushd@.service; do
  try "systemd rates $unit as hardened, 2.5 of 10 at most" systemd-analyze security --offline=true --threshold=25 "$units/$unit"
done
try 'man pages, completions, translations and the licence of BullMQ are installed' sh -c "
  ls '$prefix'/share/man/man1/derush.1* '$prefix'/share/man/man8/derushd.8* '$prefix/share/bash-completion/completions/derush' \
     '$prefix/share/locale/fr/LC_MESSAGES/derush.mo' && find '$prefix/share' -iname '*licen*' | grep -qi bullmq"
try 'messages come in French' sh -c "LC_ALL=C.UTF-8 LANGUAGE=fr derush --help | grep -q 'Utilisation'"
try 'the properties of elements come in French' sh -c "
  LC_ALL=C.UTF-8 LANGUAGE=fr GST_PLUGIN_PATH='$plugins' GST_REGISTRY='$work/registry.bin' gst-inspect-1.0 shotdetect | grep -q 'coupe franche'"
echo "1..$n"
exit $failed
