-- SPDX-License-Identifier: LGPL-2.1-or-later
-- One row for each run of a workflow; its steps have rows in jobs, whose "workflowId" is the "id" here. "workflowId" here is
-- the workflow's own id, "jobId" the row of the run in jobs; "duration" is in seconds.

CREATE TABLE IF NOT EXISTS workflow_executions (
  "id" TEXT PRIMARY KEY,
  "status" TEXT NOT NULL,
  "input" JSONB,
  "output" JSONB,
  "steps" JSONB,
  "startedAt" TIMESTAMP(3),
  "completedAt" TIMESTAMP(3),
  "duration" DOUBLE PRECISION,
  "error" TEXT,
  "metadata" JSONB,
  "createdAt" TIMESTAMP(3) NOT NULL,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "workflowId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "workflow_executions_workflowId_idx" ON workflow_executions ("workflowId");
