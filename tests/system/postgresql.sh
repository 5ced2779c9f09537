#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A private PostgreSQL cluster in one folder, on a socket in that folder and nowhere else.
#   postgresql.sh start DIR     makes the cluster if it is not there, starts it, prints its DATABASE_URL
#   postgresql.sh stop DIR      stops it
#   postgresql.sh kill DIR      stops it as a crash would: connections break, nothing is written back
#   postgresql.sh remove DIR    stops it and removes DIR
#   postgresql.sh with COMMAND [ARGUMENT]…
#                               runs COMMAND with a cluster of its own, which is gone afterwards however it ends:
#                               DERUSH_POSTGRESQL_DIR is its folder, DERUSH_POSTGRESQL_URL its address
# The parents of DIR must be open to everyone (as /tmp is): PostgreSQL does not run as root, so root becomes another user.
set -u -o pipefail

usage() { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { printf 'postgresql.sh: %s\n' "$*" >&2; exit 1; }

[ $# -ge 2 ] || usage
command=$1
if [ "$command" = with ]; then
  dir=$(mktemp -d "${TMPDIR:-/tmp}/derush-postgresql-XXXXXX") || exit 1
  shift
else
  [ $# -eq 2 ] || usage
  dir=$(realpath -m "$2")
fi
exec 3>&1

bin=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(pg_config --bindir 2> /dev/null) || die "PostgreSQL is not installed (Debian: apt-get install postgresql)"

run() {
  if [ "$(id -u)" -ne 0 ]; then (cd "$dir" && "$@")
  else (cd "$dir" && exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$dir" "$@")
  fi
}

start() {
  mkdir -p "$dir" || exit 1
  [ "$(id -u)" -ne 0 ] || chown postgres "$dir" || die "there is no user postgres to run PostgreSQL as"
  if ! [ -f "$dir/data/PG_VERSION" ]; then
    run "$bin/initdb" -D "$dir/data" -U derush -A trust -E UTF8 --locale=C.UTF-8 --no-sync > "$dir/initdb.log" 2>&1 ||
      { cat "$dir/initdb.log" >&2; die "initdb failed"; }
    printf "listen_addresses = ''\nunix_socket_directories = '%s'\nfsync = off\nshared_buffers = 16MB\nmax_connections = 20\n" \
      "$dir" >> "$dir/data/postgresql.conf"
  fi
  # 3>&-: the server would hold the caller's pipe open.
  run "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 start > /dev/null 3>&- ||
    { cat "$dir/server.log" >&2; die "the server did not start"; }
  echo "postgresql://derush@localhost/postgres?host=$dir" >&3
}

stop() {
  [ -f "$dir/data/postmaster.pid" ] || return 0
  run "$bin/pg_ctl" -D "$dir/data" -m "$1" -w -t 60 stop > /dev/null
}

with() {
  local status
  trap 'stop immediate; rm -rf "$dir"' EXIT
  trap 'kill "$pid" 2> /dev/null; exit 1' TERM INT
  DERUSH_POSTGRESQL_URL=$(start 3>&1) || exit 1
  DERUSH_POSTGRESQL_DIR=$dir
  export DERUSH_POSTGRESQL_URL DERUSH_POSTGRESQL_DIR
  "$@" 3>&- <&0 &
  pid=$!
  wait "$pid"
  status=$?
  return $status
}

case $command in
  with) with "$@" ;;
  start) start ;;
  stop) stop fast ;;
  kill) stop immediate ;;
  remove) stop immediate; rm -rf "$dir" ;;
  *) usage ;;
esac
