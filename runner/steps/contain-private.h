/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A worker says on its standard error which system call it was refused: this and the call's name. */
#define DERUSH_REFUSED_PREFIX "refused system call: "

/* The one folder that a worker may write to; from its slot. */
#define DERUSH_WORKER_FOLDER "DERUSH_WORKER_FOLDER"
/* Bytes that a file of a worker may have; from its slot. */
#define DERUSH_WORKER_FILE_LIMIT "DERUSH_WORKER_FILE_LIMIT"

/* NULL, or why the filter of system calls could not be put on. */
char *derush_contain_system_calls (void);

G_END_DECLS
