-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Jobs and what they made. Columns as in the backend's schema, and "jobId" of what a job made. Nothing refers to tables of
-- the backend: a job whose user or video it does not know gets its rows all the same. "duration" of a job is in
-- milliseconds, all other durations and times in seconds; dates are UTC.

CREATE TABLE IF NOT EXISTS jobs (
  "id" TEXT PRIMARY KEY,
  "type" TEXT NOT NULL,
  "status" TEXT NOT NULL,
  "priority" TEXT NOT NULL DEFAULT 'NORMAL',
  "progress" BIGINT NOT NULL DEFAULT 0,
  "message" TEXT,
  "stage" TEXT,
  "input" JSONB,
  "output" JSONB,
  "error" TEXT,
  "retryCount" BIGINT NOT NULL DEFAULT 0,
  "maxRetries" BIGINT NOT NULL DEFAULT 3,
  "startedAt" TIMESTAMP(3),
  "completedAt" TIMESTAMP(3),
  "duration" BIGINT,
  "metadata" JSONB,
  "createdAt" TIMESTAMP(3) NOT NULL,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "userId" TEXT,
  "videoId" TEXT,
  "workflowId" TEXT
);
CREATE INDEX IF NOT EXISTS "jobs_status_idx" ON jobs ("status", "createdAt");
CREATE INDEX IF NOT EXISTS "jobs_videoId_idx" ON jobs ("videoId");

CREATE TABLE IF NOT EXISTS video_formats (
  "id" TEXT PRIMARY KEY,
  "format" TEXT,
  "quality" TEXT,
  "resolution" TEXT,
  "fps" DOUBLE PRECISION,
  "bitrate" BIGINT,
  "filePath" TEXT,
  "fileSize" BIGINT,
  "duration" DOUBLE PRECISION,
  "width" BIGINT,
  "height" BIGINT,
  "isOptimized" BOOLEAN NOT NULL DEFAULT false,
  "createdAt" TIMESTAMP(3) NOT NULL,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "video_formats_videoId_idx" ON video_formats ("videoId");
CREATE INDEX IF NOT EXISTS "video_formats_jobId_idx" ON video_formats ("jobId");

CREATE TABLE IF NOT EXISTS thumbnails (
  "id" TEXT PRIMARY KEY,
  "position" DOUBLE PRECISION,
  "time" DOUBLE PRECISION,
  "filePath" TEXT,
  "fileSize" BIGINT,
  "width" BIGINT,
  "height" BIGINT,
  "format" TEXT,
  "quality" BIGINT,
  "score" DOUBLE PRECISION,
  "isGenerated" BOOLEAN NOT NULL DEFAULT true,
  "createdAt" TIMESTAMP(3) NOT NULL,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "thumbnails_videoId_idx" ON thumbnails ("videoId");
CREATE INDEX IF NOT EXISTS "thumbnails_jobId_idx" ON thumbnails ("jobId");

CREATE TABLE IF NOT EXISTS highlights (
  "id" TEXT PRIMARY KEY,
  "rank" BIGINT,
  "startTime" DOUBLE PRECISION,
  "endTime" DOUBLE PRECISION,
  "duration" DOUBLE PRECISION,
  "type" TEXT,
  "confidence" DOUBLE PRECISION,
  "description" TEXT,
  "tags" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
  "metadata" JSONB,
  "createdAt" TIMESTAMP(3) NOT NULL,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "highlights_videoId_idx" ON highlights ("videoId");
CREATE INDEX IF NOT EXISTS "highlights_jobId_idx" ON highlights ("jobId");
