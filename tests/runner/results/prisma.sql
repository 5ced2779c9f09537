-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Tables as Prisma makes them for a backend: enumerated types, quoted names, keys of text, references, "updatedAt" without a
-- default.

CREATE TYPE "JobType" AS ENUM ('VIDEO_PROCESSING', 'THUMBNAIL_GENERATION', 'HIGHLIGHT_DETECTION', 'SHORT_CREATION',
  'HIGHLIGHT_CLIP_CREATION', 'AI_ANALYSIS', 'CONTENT_GENERATION', 'IMAGE_GENERATION', 'TRANSCRIPTION', 'TRANSLATION',
  'VOICEOVER', 'WORKFLOW_EXECUTION', 'WORKFLOW_STEP');
CREATE TYPE "JobStatus" AS ENUM ('PENDING', 'QUEUED', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED', 'STALLED', 'DELAYED');
CREATE TYPE "JobPriority" AS ENUM ('LOW', 'NORMAL', 'HIGH', 'URGENT');
CREATE TYPE "WorkflowExecutionStatus" AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED');
CREATE TYPE "VideoStatus" AS ENUM ('UPLOADED', 'PROCESSING', 'PROCESSED', 'FAILED', 'ARCHIVED');
CREATE TYPE "HighlightType" AS ENUM ('MOTION', 'AUDIO', 'TEXT', 'FACE', 'OBJECT', 'SCENE_CHANGE', 'EMOTION', 'ACTION');
CREATE TYPE "Platform" AS ENUM ('YOUTUBE_SHORTS', 'TIKTOK', 'INSTAGRAM_REELS', 'INSTAGRAM_STORIES', 'SNAPCHAT', 'TWITTER',
  'LINKEDIN', 'FACEBOOK', 'YOUTUBE', 'INSTAGRAM');

CREATE TABLE "users" (
  "id" TEXT NOT NULL,
  "email" TEXT NOT NULL,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "users_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "videos" (
  "id" TEXT NOT NULL,
  "title" TEXT NOT NULL,
  "originalName" TEXT NOT NULL,
  "originalPath" TEXT NOT NULL,
  "originalSize" BIGINT NOT NULL,
  "originalFormat" TEXT NOT NULL,
  "originalDuration" DOUBLE PRECISION NOT NULL,
  "originalWidth" INTEGER NOT NULL,
  "originalHeight" INTEGER NOT NULL,
  "originalFps" DOUBLE PRECISION,
  "originalBitrate" INTEGER,
  "status" "VideoStatus" NOT NULL DEFAULT 'UPLOADED',
  "isPublic" BOOLEAN NOT NULL DEFAULT false,
  "tags" TEXT[],
  "metadata" JSONB,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "userId" TEXT NOT NULL,
  CONSTRAINT "videos_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "workflows" (
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "version" TEXT NOT NULL DEFAULT '1.0.0',
  "isActive" BOOLEAN NOT NULL DEFAULT true,
  "steps" JSONB NOT NULL,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "workflows_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "workflow_executions" (
  "id" TEXT NOT NULL,
  "status" "WorkflowExecutionStatus" NOT NULL DEFAULT 'PENDING',
  "input" JSONB NOT NULL,
  "output" JSONB,
  "steps" JSONB NOT NULL,
  "startedAt" TIMESTAMP(3),
  "completedAt" TIMESTAMP(3),
  "duration" INTEGER,
  "error" TEXT,
  "metadata" JSONB,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "workflowId" TEXT NOT NULL,
  CONSTRAINT "workflow_executions_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "jobs" (
  "id" TEXT NOT NULL,
  "type" "JobType" NOT NULL,
  "status" "JobStatus" NOT NULL DEFAULT 'PENDING',
  "priority" "JobPriority" NOT NULL DEFAULT 'NORMAL',
  "progress" INTEGER NOT NULL DEFAULT 0,
  "message" TEXT,
  "stage" TEXT,
  "input" JSONB NOT NULL,
  "output" JSONB,
  "error" TEXT,
  "retryCount" INTEGER NOT NULL DEFAULT 0,
  "maxRetries" INTEGER NOT NULL DEFAULT 3,
  "startedAt" TIMESTAMP(3),
  "completedAt" TIMESTAMP(3),
  "duration" INTEGER,
  "metadata" JSONB,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "userId" TEXT NOT NULL,
  "videoId" TEXT,
  "workflowId" TEXT,
  CONSTRAINT "jobs_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "video_formats" (
  "id" TEXT NOT NULL,
  "format" TEXT NOT NULL,
  "quality" TEXT NOT NULL,
  "resolution" TEXT NOT NULL,
  "fps" DOUBLE PRECISION NOT NULL,
  "bitrate" INTEGER NOT NULL,
  "filePath" TEXT NOT NULL,
  "fileSize" BIGINT NOT NULL,
  "duration" DOUBLE PRECISION NOT NULL,
  "width" INTEGER NOT NULL,
  "height" INTEGER NOT NULL,
  "isOptimized" BOOLEAN NOT NULL DEFAULT false,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT NOT NULL,
  CONSTRAINT "video_formats_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "thumbnails" (
  "id" TEXT NOT NULL,
  "position" DOUBLE PRECISION NOT NULL,
  "filePath" TEXT NOT NULL,
  "fileSize" INTEGER NOT NULL,
  "width" INTEGER NOT NULL,
  "height" INTEGER NOT NULL,
  "format" TEXT NOT NULL DEFAULT 'jpg',
  "quality" INTEGER NOT NULL DEFAULT 80,
  "isGenerated" BOOLEAN NOT NULL DEFAULT true,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "videoId" TEXT NOT NULL,
  CONSTRAINT "thumbnails_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "highlights" (
  "id" TEXT NOT NULL,
  "startTime" DOUBLE PRECISION NOT NULL,
  "endTime" DOUBLE PRECISION NOT NULL,
  "duration" DOUBLE PRECISION NOT NULL,
  "type" "HighlightType" NOT NULL,
  "confidence" DOUBLE PRECISION NOT NULL,
  "description" TEXT,
  "tags" TEXT[],
  "metadata" JSONB,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT NOT NULL,
  CONSTRAINT "highlights_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "shorts" (
  "id" TEXT NOT NULL,
  "title" TEXT NOT NULL,
  "description" TEXT,
  "startTime" DOUBLE PRECISION NOT NULL,
  "endTime" DOUBLE PRECISION NOT NULL,
  "duration" INTEGER NOT NULL,
  "format" VARCHAR(3) NOT NULL,
  "platform" "Platform",
  "filePath" TEXT NOT NULL,
  "fileSize" INTEGER,
  "width" INTEGER NOT NULL,
  "height" INTEGER NOT NULL,
  "hasSubtitles" BOOLEAN NOT NULL DEFAULT false,
  "hasMusic" BOOLEAN NOT NULL DEFAULT false,
  "musicType" TEXT,
  "isPublished" BOOLEAN NOT NULL DEFAULT false,
  "publishedAt" TIMESTAMP(3),
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT NOT NULL,
  CONSTRAINT "shorts_pkey" PRIMARY KEY ("id")
);

CREATE TYPE "Formality" AS ENUM ('FORMAL', 'NEUTRAL', 'INFORMAL');
CREATE TABLE "transcriptions" (
  "id" TEXT NOT NULL,
  "text" TEXT NOT NULL,
  "language" TEXT NOT NULL,
  "model" TEXT NOT NULL,
  "confidence" DOUBLE PRECISION NOT NULL,
  "hasTimestamps" BOOLEAN NOT NULL DEFAULT false,
  "timestamps" JSONB,
  "hasSpeakers" BOOLEAN NOT NULL DEFAULT false,
  "speakers" JSONB,
  "wordCount" INTEGER NOT NULL,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT NOT NULL,
  CONSTRAINT "transcriptions_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "translations" (
  "id" TEXT NOT NULL,
  "originalText" TEXT NOT NULL,
  "translatedText" TEXT NOT NULL,
  "sourceLanguage" TEXT NOT NULL,
  "targetLanguage" TEXT NOT NULL,
  "model" TEXT NOT NULL,
  "confidence" DOUBLE PRECISION NOT NULL,
  "context" TEXT,
  "formality" "Formality" NOT NULL DEFAULT 'NEUTRAL',
  "wordCount" INTEGER NOT NULL,
  "characterCount" INTEGER NOT NULL,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" TIMESTAMP(3) NOT NULL,
  "videoId" TEXT NOT NULL,
  CONSTRAINT "translations_pkey" PRIMARY KEY ("id")
);
ALTER TABLE "transcriptions" ADD CONSTRAINT "transcriptions_videoId_fkey" FOREIGN KEY ("videoId") REFERENCES "videos"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "translations" ADD CONSTRAINT "translations_videoId_fkey" FOREIGN KEY ("videoId") REFERENCES "videos"("id") ON DELETE CASCADE ON UPDATE CASCADE;

CREATE UNIQUE INDEX "users_email_key" ON "users"("email");
ALTER TABLE "videos" ADD CONSTRAINT "videos_userId_fkey" FOREIGN KEY ("userId") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_userId_fkey" FOREIGN KEY ("userId") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_videoId_fkey" FOREIGN KEY ("videoId") REFERENCES "videos"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_workflowId_fkey" FOREIGN KEY ("workflowId") REFERENCES "workflows"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "workflow_executions" ADD CONSTRAINT "workflow_executions_workflowId_fkey" FOREIGN KEY ("workflowId") REFERENCES "workflows"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "video_formats" ADD CONSTRAINT "video_formats_videoId_fkey" FOREIGN KEY ("videoId") REFERENCES "videos"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "thumbnails" ADD CONSTRAINT "thumbnails_videoId_fkey" FOREIGN KEY ("videoId") REFERENCES "videos"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "highlights" ADD CONSTRAINT "highlights_videoId_fkey" FOREIGN KEY ("videoId") REFERENCES "videos"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "shorts" ADD CONSTRAINT "shorts_videoId_fkey" FOREIGN KEY ("videoId") REFERENCES "videos"("id") ON DELETE CASCADE ON UPDATE CASCADE;

INSERT INTO "users" ("id", "email", "updatedAt") VALUES ('u1', 'u1@example.org', now());
INSERT INTO "videos" ("id", "title", "originalName", "originalPath", "originalSize", "originalFormat", "originalDuration",
  "originalWidth", "originalHeight", "updatedAt", "userId")
  VALUES ('v1', 'A film', 'a.mp4', '/a.mp4', 1, 'mp4', 1, 1, 1, now(), 'u1');
