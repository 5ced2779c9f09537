-- SPDX-License-Identifier: LGPL-2.1-or-later
-- One row for each short. Times are in seconds of the film; "publishedAt" is the backend's to fill in.

CREATE TABLE IF NOT EXISTS shorts (
  "id" TEXT PRIMARY KEY NOT NULL,
  "title" TEXT,
  "description" TEXT,
  "startTime" DOUBLE PRECISION,
  "endTime" DOUBLE PRECISION,
  "duration" DOUBLE PRECISION,
  "format" TEXT,
  "platform" TEXT,
  "filePath" TEXT,
  "fileSize" BIGINT,
  "width" INTEGER,
  "height" INTEGER,
  "hasSubtitles" BOOLEAN NOT NULL DEFAULT FALSE,
  "hasMusic" BOOLEAN NOT NULL DEFAULT FALSE,
  "musicType" TEXT,
  "isPublished" BOOLEAN NOT NULL DEFAULT FALSE,
  "publishedAt" TIMESTAMP(3),
  "cropPath" TEXT,
  "createdAt" TIMESTAMP(3) NOT NULL,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "shorts_videoId_idx" ON shorts ("videoId");
CREATE INDEX IF NOT EXISTS "shorts_jobId_idx" ON shorts ("jobId");
