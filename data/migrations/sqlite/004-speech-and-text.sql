-- SPDX-License-Identifier: LGPL-2.1-or-later
-- One row for each transcription, and one for each language that something was translated into. "filePath" is the file of
-- subtitles, or of the whole where the row has not all of it.

CREATE TABLE IF NOT EXISTS transcriptions (
  "id" TEXT PRIMARY KEY NOT NULL,
  "text" TEXT,
  "language" TEXT,
  "model" TEXT,
  "confidence" REAL,
  "hasTimestamps" BOOLEAN NOT NULL DEFAULT 0,
  "timestamps" TEXT,
  "hasSpeakers" BOOLEAN NOT NULL DEFAULT 0,
  "speakers" TEXT,
  "wordCount" INTEGER,
  "filePath" TEXT,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "transcriptions_videoId_idx" ON transcriptions ("videoId");
CREATE INDEX IF NOT EXISTS "transcriptions_jobId_idx" ON transcriptions ("jobId");

CREATE TABLE IF NOT EXISTS translations (
  "id" TEXT PRIMARY KEY NOT NULL,
  "originalText" TEXT,
  "translatedText" TEXT,
  "sourceLanguage" TEXT,
  "targetLanguage" TEXT,
  "model" TEXT,
  "confidence" REAL,
  "context" TEXT,
  "formality" TEXT,
  "wordCount" INTEGER,
  "characterCount" INTEGER,
  "filePath" TEXT,
  "createdAt" TEXT NOT NULL,
  "updatedAt" TEXT NOT NULL,
  "videoId" TEXT,
  "jobId" TEXT
);
CREATE INDEX IF NOT EXISTS "translations_videoId_idx" ON translations ("videoId");
CREATE INDEX IF NOT EXISTS "translations_jobId_idx" ON translations ("jobId");
