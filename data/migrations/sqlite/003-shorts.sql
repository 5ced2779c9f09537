-- SPDX-License-Identifier: LGPL-2.1-or-later
-- One row for each short. Times are in seconds of the film; "publishedAt" is the backend's to fill in.

CREATE TABLE IF NOT EXISTS shorts (
  "id" TEXT PRIMARY KEY NOT NULL,
  "title" TEXT,
  "description" TEXT,
  "startTime" REAL,
  "endTime" REAL,
  "duration" REAL,
  "format" TEXT,
  "platform" TEXT,
  "filePath" TEXT,
  "fileSize" INTEGER,
  "width" INTEGER,
  "height" INTEGER,
  "hasSubtitles" BOOLEAN NOT NULL DEFAULT 0,
  "hasMusic" BOOLEAN NOT NULL DEFAULT 0,
  "musicType" TEXT,
  "isPublished" BOOLEAN NOT NULL DEFAULT 0,
  "publishedAt" TEXT,
  "cropPath" TEXT,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "shorts_videoId_idx" ON shorts ("videoId");
CREATE INDEX IF NOT EXISTS "shorts_jobId_idx" ON shorts ("jobId");
