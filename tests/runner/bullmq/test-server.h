/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bullmq/bullmq.h"

/* A redis-server of a test's own, which does not outlive it. */
typedef struct {
  char *folder;
  GSubprocess *process;
  DerushRedisAddress *address;
} TestServer;

void test_server_start (TestServer *server, gboolean launch);
void test_server_signal (TestServer *server, int signal);
void test_server_stop (TestServer *server);
