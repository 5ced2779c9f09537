-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Jobs and what they made. Columns as in the backend's schema, and "jobId" of what a job made. Nothing refers to tables of
-- the backend: a job whose user or video it does not know gets its rows all the same. "duration" of a job is in
-- milliseconds, all other durations and times in seconds; dates are UTC.

CREATE TABLE IF NOT EXISTS jobs (
  "id" TEXT PRIMARY KEY NOT NULL,
  "type" TEXT NOT NULL,
  "status" TEXT NOT NULL,
  "priority" TEXT NOT NULL DEFAULT 'NORMAL',
  "progress" INTEGER NOT NULL DEFAULT 0,
  "message" TEXT,
  "stage" TEXT,
  "input" TEXT,
  "output" TEXT,
  "error" TEXT,
  "retryCount" INTEGER NOT NULL DEFAULT 0,
  "maxRetries" INTEGER NOT NULL DEFAULT 3,
  "startedAt" TEXT,
  "completedAt" TEXT,
  "duration" INTEGER,
  "metadata" TEXT,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "userId" TEXT,
  "videoId" TEXT,
  "workflowId" TEXT
);
CREATE INDEX IF NOT EXISTS "jobs_status_idx" ON jobs ("status", "createdAt");
CREATE INDEX IF NOT EXISTS "jobs_videoId_idx" ON jobs ("videoId");

CREATE TABLE IF NOT EXISTS video_formats (
  "id" TEXT PRIMARY KEY NOT NULL,
  "format" TEXT,
  "quality" TEXT,
  "resolution" TEXT,
  "fps" REAL,
  "bitrate" INTEGER,
  "filePath" TEXT,
  "fileSize" INTEGER,
  "duration" REAL,
  "width" INTEGER,
  "height" INTEGER,
  "isOptimized" BOOLEAN NOT NULL DEFAULT 0,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "video_formats_videoId_idx" ON video_formats ("videoId");
CREATE INDEX IF NOT EXISTS "video_formats_jobId_idx" ON video_formats ("jobId");

CREATE TABLE IF NOT EXISTS thumbnails (
  "id" TEXT PRIMARY KEY NOT NULL,
  "position" REAL,
  "time" REAL,
  "filePath" TEXT,
  "fileSize" INTEGER,
  "width" INTEGER,
  "height" INTEGER,
  "format" TEXT,
  "quality" INTEGER,
  "score" REAL,
  "isGenerated" BOOLEAN NOT NULL DEFAULT 1,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "thumbnails_videoId_idx" ON thumbnails ("videoId");
CREATE INDEX IF NOT EXISTS "thumbnails_jobId_idx" ON thumbnails ("jobId");

CREATE TABLE IF NOT EXISTS highlights (
  "id" TEXT PRIMARY KEY NOT NULL,
  "rank" INTEGER,
  "startTime" REAL,
  "endTime" REAL,
  "duration" REAL,
  "type" TEXT,
  "confidence" REAL,
  "description" TEXT,
  "tags" TEXT,
  "metadata" TEXT,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "highlights_videoId_idx" ON highlights ("videoId");
CREATE INDEX IF NOT EXISTS "highlights_jobId_idx" ON highlights ("jobId");
