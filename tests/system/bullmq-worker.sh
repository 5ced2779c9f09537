#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# derushd as a worker of one queue, for programs that compare workers of BullMQ. They say by REDIS_HOST, REDIS_PORT,
# REDIS_PASSWORD, QUEUE_NAME, BULLMQ_PREFIX, WORKER_CONCURRENCY, WORKER_LOCK_DURATION … what is wanted; SIGTERM reaches
# derushd itself.
here=$(dirname "$(readlink -f "$0")")
top=$(dirname "$(dirname "$here")")
build=${DERUSH_BUILD_DIR:-$top/build}
folder=${TMPDIR:-/tmp}/derush-bullmq-worker-$(id -u)

mkdir -p -m 700 "$folder" || exit 1
# Nothing of the machine's own configuration takes part.
: > "$folder/derush.conf"
export DERUSH_CONFIG="$folder/derush.conf" DERUSH_STATE_DIR="$folder" DERUSH_CACHE="$folder/cache" \
  DERUSH_SCRATCH="$folder/scratch" DERUSH_OUTPUT_DIR="$folder/outputs" DERUSH_HTTP_ADDRESS=off DATABASE_URL='' \
  DERUSH_QUEUES="${QUEUE_NAME:?QUEUE_NAME is not set}=${WORKER_CONCURRENCY:-1}" DERUSH_LOG_LEVEL="${DERUSH_LOG_LEVEL:-warn}"
# What `meson devenv` would set; that program would keep the signals for itself.
export GST_REGISTRY="$build/registry.bin" DERUSH_PIPELINES_DIR="$top/pipelines" DERUSH_DATA_DIR="$top/data" \
  DERUSH_MEDIA_WORKER="$build/runner/media/derush-media-worker" \
  DERUSH_MODEL_WORKER="$build/runner/models/derush-model-worker" DERUSH_LOCAL_MODELS="$build/runner/localmodels/derush-models"
for plugin in "$build"/plugins/*/; do GST_PLUGIN_PATH="$plugin${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"; done
export GST_PLUGIN_PATH
exec "${DERUSH_WORKER_COMMAND:-$build/runner/daemon/derushd}"
