#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A folder of the plugins that derush-thumbnailer needs, with a registry of them alone.
# usage: thumbnailer-plugins.sh LIST PLUGINS FOLDER
# A FOLDER that is no absolute path is below the prefix of an installation; with DESTDIR a package's own script makes it.
set -eu
list=$1 plugins=$2 folder=$3
case $folder in
/*) ;;
*) [ -z "${DESTDIR-}" ] || exit 0; folder=$MESON_INSTALL_PREFIX/$folder ;;
esac
rm -rf "$folder"
mkdir -p "$folder"
while read -r name; do
  if [ -e "$plugins/libgst$name.so" ]; then ln -s "$plugins/libgst$name.so" "$folder/gst$name.so"; fi
done < "$list"
env -u GST_PLUGIN_PATH -u GST_PLUGIN_PATH_1_0 GST_PLUGIN_SYSTEM_PATH_1_0="$folder" GST_REGISTRY="$folder/registry.bin" \
  GST_REGISTRY_1_0="$folder/registry.bin" GST_REGISTRY_FORK=no gst-inspect-1.0 > /dev/null
