/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Whether @fd is what systemd says is connected to the journal: @stream is `DEVICE:INODE`, as in JOURNAL_STREAM. */
gboolean journal_is_stream (int fd, const char *stream);

/* A datagram socket to the journal at @path, or -1. */
int journal_connect (const char *path);

/* Sends @line, an object as derush_log() writes it, with its members as fields. */
gboolean journal_send (int fd, JsonObject *line);

/* Whether what is written at @file, as __FILE__ says it, is among @patterns. */
gboolean log_patterns_match (const char *patterns, const char *file);

G_END_DECLS
