#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The desktop's side: the thumbnailer as file managers call it, in a sandbox where one can be made, and the desktop file.
# usage: desktop.sh SOURCE BUILD
set -u -o pipefail
source=$1 build=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/derush-desktop-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
film=$source/data/samples/sintel_trailer-720p.mp4
thumbnailer=$build/runner/media/derush-thumbnailer
n=0 failed=0

result() {   # STATUS NAME
  n=$((n + 1))
  if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; sed 's/^/# /' "$work/log" 2> /dev/null | tail -n 20; fi
}
try() {   # NAME COMMAND…
  local name=$1; shift
  "$@" > "$work/log" 2>&1
  result $? "$name"
}
size() { ffprobe -v error -show_entries stream=width,height,codec_name -of csv=p=0 "$1"; }
luma() { ffmpeg -v error -nostdin -i "$1" -vf format=gray,scale=1:1 -f rawvideo - | od -An -tu1 | tr -d ' '; }
is_bright() { [ "$(luma "$1")" -ge "$2" ]; }
has_size() { local found; found=$(size "$1"); echo "$found"; [ "$found" = "$2" ]; }

# As gnome-desktop and tumbler do it: nothing but the system, the film and one folder to write to.
sandboxed() {
  bwrap --ro-bind /usr /usr --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache --ro-bind-try /etc/alternatives /etc/alternatives \
    --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/sbin /sbin --proc /proc --dev /dev \
    --ro-bind "$build" "$build" --ro-bind "$source" "$source" --bind "$work/out" /tmp --chdir / --setenv GIO_USE_VFS local \
    --unsetenv HOME --unshare-all --die-with-parent --setenv DERUSH_PIPELINES_DIR "$source/pipelines" \
    --setenv DERUSH_THUMBNAILER_DIR "$1" "$thumbnailer" -s 256 "file://$film" /tmp/film.png
}
plain() {
  env -i PATH="$PATH" GIO_USE_VFS=local DERUSH_PIPELINES_DIR="$source/pipelines" DERUSH_THUMBNAILER_DIR="$1" \
    "$thumbnailer" -s 256 "file://$film" "$work/out/film.png"
}

mkdir "$work/out"
if bwrap --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --unshare-all true 2> "$work/log"; then
  run=sandboxed
else
  echo "# no sandbox can be made here, so the thumbnailer runs in an empty environment: $(head -n 1 "$work/log")"
  run=plain
fi
try 'a film has a thumbnail' $run "$build/runner/media/thumbnailer"
try 'it is a PNG of the size that was asked for' has_size "$work/out/film.png" png,256,144
try 'it is no title on black' is_bright "$work/out/film.png" 40
rm -f "$work/out/film.png"
try 'without the registry of its plugins it makes one as well' $run /nonexistent
try 'and that is no title on black, either' is_bright "$work/out/film.png" 40
rm -f "$work"/out/*

export DERUSH_THUMBNAILER_DIR=$build/runner/media/thumbnailer DERUSH_PIPELINES_DIR=$source/pipelines
ffmpeg -v error -nostdin -y -f lavfi -i testsrc2=s=320x180:r=25 -t 2 -c:v libx264 -pix_fmt yuv420p "$work/wide.mp4"
ffmpeg -v error -nostdin -y -display_rotation 90 -i "$work/wide.mp4" -c copy "$work/turned.mp4" 2> /dev/null ||
  ffmpeg -v error -nostdin -y -i "$work/wide.mp4" -c copy -metadata:s:v rotate=90 "$work/turned.mp4"
try 'a turned film is upright' "$thumbnailer" -s 128 "$work/turned.mp4" "$work/out/turned.png"
try 'and its longer side is its height' has_size "$work/out/turned.png" png,72,128
ffmpeg -v error -nostdin -y -f lavfi -i color=red:s=100x100 -frames:v 1 "$work/cover.jpg"
ffmpeg -v error -nostdin -y -f lavfi -i sine=d=2 -i "$work/cover.jpg" -map 0 -map 1 -c:v copy -disposition:v attached_pic "$work/song.mp3"
ffmpeg -v error -nostdin -y -f lavfi -i sine=d=2 "$work/bare.mp3"
try 'a song has its cover' "$thumbnailer" -s 64 "$work/song.mp3" "$work/out/song.png"
try 'in the size that was asked for' has_size "$work/out/song.png" png,64,64

head -c 100000 /dev/urandom > "$work/noise.mp4"
head -c 3000 "$film" > "$work/cut.mp4"
: > "$work/empty.mp4"
for file in noise.mp4 cut.mp4 empty.mp4 bare.mp3 none.mp4; do
  "$thumbnailer" "$work/$file" "$work/out/bad.png" > "$work/log" 2>&1
  status=$?
  grep -q "^derush-thumbnailer: .*$file" "$work/log" && [ $status -eq 1 ] && [ -z "$(find "$work/out" -name 'bad*')" ]
  result $? "$file has no thumbnail, and it is said why"
done
"$thumbnailer" "http://127.0.0.1/film.mp4" "$work/out/bad.png" > "$work/log" 2>&1
[ $? -eq 1 ] && grep -q 'http://127.0.0.1/film.mp4' "$work/log"
result $? 'what is not on this computer is refused'
"$thumbnailer" -s 0 "$film" "$work/out/bad.png" > "$work/log" 2>&1
[ $? -eq 2 ]
result $? 'a size of nothing is wrong usage'

desktop=$build/data/org.derush.Derush.desktop
try 'the desktop file is valid' sh -c "out=\$(desktop-file-validate '$desktop'); echo \"\$out\"; [ -z \"\$out\" ]"
try 'its actions are in French, too' grep -qx 'Name\[fr\]=Faire un short vertical' "$desktop"
types() { grep -m 1 "^MimeType=" "$1" | cut -d= -f2 | tr ';' '\n' | grep . ; }
try 'every kind of film that it opens has thumbnails' sh -c "
  sed -n 's/^MimeType=//p' '$desktop' | tr ';' '\n' | grep . | while read -r t; do grep -q \"[=;]\$t;\" '$build/data/derush.thumbnailer' || { echo \$t; exit 1; }; done"

# The actions, with a derush and a notification of our own.
mkdir "$work/bin" "$work/films"
cp "$work/wide.mp4" "$work/films/a film.mp4"
sed "s|^ *@bindir@|@bindir@|; s|@bindir@/derush|derush|g" "$source/data/desktop/derush-desktop.in" > "$work/bin/derush-desktop"
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >> %s/said\n' "$work" > "$work/bin/notify-send"
chmod +x "$work"/bin/*
export PATH=$work/bin:$PATH DERUSH_CONFIG= XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state
try 'the action for thumbnails makes them beside the film' derush-desktop thumbnails "$work/films/a film.mp4"
ls "$work/films/a film-derush/"*.jpg > "$work/log" 2>&1
result $? 'they are where the notification says'
grep -qF "a film.mp4 → $work/films/a film-derush" "$work/said"
result $? 'and there is one'
derush-desktop short "$work/noise.mp4" > "$work/log" 2>&1
[ $? -eq 1 ] && grep -q 'noise.mp4' "$work/said" && [ ! -e "$work/noise-derush" ]
result $? 'a film that cannot be read is told of, and leaves no folder'
ln -s "$film" "$work/films/trailer.mp4"
try 'the action for highlights cuts them out' derush-desktop highlights "$work/films/trailer.mp4"
ls "$work/films/trailer-derush/"*.mp4 > "$work/log" 2>&1
result $? 'each is a film beside the film'
echo "1..$n"
exit $failed
