-- SPDX-License-Identifier: LGPL-2.1-or-later
-- One row for each run of a workflow; its steps have rows in jobs, whose "workflowId" is the "id" here. "workflowId" here is
-- the workflow's own id, "jobId" the row of the run in jobs; "duration" is in seconds.

CREATE TABLE IF NOT EXISTS workflow_executions (
  "id" TEXT PRIMARY KEY NOT NULL,
  "status" TEXT NOT NULL,
  "input" TEXT,
  "output" TEXT,
  "steps" TEXT,
  "startedAt" TEXT,
  "completedAt" TEXT,
  "duration" REAL,
  "error" TEXT,
  "metadata" TEXT,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "workflowId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "workflow_executions_workflowId_idx" ON workflow_executions ("workflowId");
