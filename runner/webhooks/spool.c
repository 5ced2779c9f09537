/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Messages that were not taken yet: a file each, in a folder for each process. Who has a folder has locked it, so that what
 * is left of a process that has ended is found, and taken over by one only. */

#include "webhooks/webhooks-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define LOCK "lock"
#define SUFFIX ".json"

struct _WebhooksSpool {
  char *base;
  char *folder;
  int lock;
};

void
webhooks_message_free (WebhooksMessage *message)
{
  g_free (message->id);
  g_free (message->event);
  g_free (message->url);
  g_free (message->body);
  g_free (message);
}

/* ── Files ──────────────────────────────────────────────────────────────── */

static char *
path_of (WebhooksSpool *self, const char *id)
{
  g_autofree char *name = g_strconcat (id, SUFFIX, NULL);

  return g_build_filename (self->folder, name, NULL);
}

gboolean
webhooks_spool_write (WebhooksSpool *self, WebhooksMessage *message, GError **error)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autofree char *path = path_of (self, message->id), *text = NULL;
  g_autoptr (GError) local = NULL;

  json_object_set_string_member (object, "id", message->id);
  json_object_set_string_member (object, "event", message->event);
  if (message->url)
    json_object_set_string_member (object, "url", message->url);
  json_object_set_string_member (object, "body", message->body);
  json_object_set_int_member (object, "created", message->created);
  json_object_set_int_member (object, "due", message->due);
  json_object_set_int_member (object, "attempts", message->attempts);
  text = derush_json_object_to_string (object);
  if (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local))
    return TRUE;
  g_set_error (error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The message for a webhook cannot be written to %s; see to its rights and its disk: %s"), path,
               local->message);
  return FALSE;
}

static WebhooksMessage *
read_message (const char *path, gboolean with_body, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (JsonObject) object = NULL;
  WebhooksMessage *message;
  gsize length;

  if (!g_file_get_contents (path, &text, &length, error))
    return NULL;
  object = derush_json_parse_object (text, length, error);
  if (!object)
    return NULL;
  message = g_new0 (WebhooksMessage, 1);
  message->id = g_strdup (derush_json_get_string (object, "id", ""));
  message->event = g_strdup (derush_json_get_string (object, "event", ""));
  message->url = g_strdup (derush_json_get_string (object, "url", NULL));
  message->body = with_body ? g_strdup (derush_json_get_string (object, "body", "")) : NULL;
  message->created = derush_json_get_int (object, "created", 0);
  message->due = derush_json_get_int (object, "due", 0);
  message->attempts = derush_json_get_int (object, "attempts", 0);
  return message;
}

WebhooksMessage *
webhooks_spool_read (WebhooksSpool *self, const char *id, GError **error)
{
  g_autofree char *path = path_of (self, id);

  return read_message (path, TRUE, error);
}

void
webhooks_spool_remove (WebhooksSpool *self, const char *id)
{
  g_autofree char *path = path_of (self, id);

  g_unlink (path);
}

/* ── Folders ────────────────────────────────────────────────────────────── */

static int
take_lock (const char *folder, int flags)
{
  g_autofree char *path = g_build_filename (folder, LOCK, NULL);
  int fd = open (path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

  if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) != 0) {
    close (fd);
    fd = -1;
  }
  return fd;
}

WebhooksSpool *
webhooks_spool_open (const char *folder, GError **error)
{
  WebhooksSpool *self = g_new0 (WebhooksSpool, 1);
  int number = 0;

  self->base = g_strdup (folder);
  self->lock = -1;
  /* Another process may remove an empty folder before it is locked. */
  for (guint i = 0; i < 5 && self->lock < 0; i++) {
    g_free (self->folder);
    self->folder = g_strdup_printf ("%s/%d-%08x", folder, (int)getpid (), g_random_int ());
    if (g_mkdir_with_parents (self->folder, 0700) == 0)
      self->lock = take_lock (self->folder, O_CREAT | O_EXCL);
    number = errno;
  }
  if (self->lock >= 0)
    return self;
  g_set_error (error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The folder %s for messages to webhooks cannot be used; see to its rights and its disk: %s"), folder,
               g_strerror (number));
  g_free (self->base);
  g_free (self->folder);
  g_free (self);
  return NULL;
}

/* Goes if it is empty. */
static void
remove_folder (const char *folder)
{
  g_autofree char *lock = g_build_filename (folder, LOCK, NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (strcmp (name, LOCK) != 0)
      return;
  g_unlink (lock);
  g_rmdir (folder);
}

void
webhooks_spool_close (WebhooksSpool *self)
{
  remove_folder (self->folder);
  close (self->lock);
  g_free (self->base);
  g_free (self->folder);
  g_free (self);
}

static void
adopt_folder (WebhooksSpool *self, const char *folder, GPtrArray *adopted)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *from = g_build_filename (folder, name, NULL), *to = g_build_filename (self->folder, name, NULL);
    g_autoptr (GError) error = NULL;
    WebhooksMessage *message;

    if (!g_str_has_suffix (name, SUFFIX)) {
      /* Half of a file that was being written. */
      if (strcmp (name, LOCK) != 0)
        g_unlink (from);
      continue;
    }
    message = read_message (from, FALSE, &error);
    if (!message)
      derush_log (DERUSH_LOG_ERROR, NULL, "The message %s for a webhook is damaged and is removed: %s", from,
                  error->message);
    if (!message || g_rename (from, to) != 0)
      g_unlink (from);
    if (message)
      g_ptr_array_add (adopted, message);
  }
}

GPtrArray *
webhooks_spool_adopt (WebhooksSpool *self)
{
  GPtrArray *adopted = g_ptr_array_new_with_free_func ((GDestroyNotify)webhooks_message_free);
  g_autoptr (GDir) dir = g_dir_open (self->base, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *folder = g_build_filename (self->base, name, NULL);
    int lock = strcmp (folder, self->folder) == 0 ? -1 : take_lock (folder, 0);

    if (lock < 0)
      continue;
    adopt_folder (self, folder, adopted);
    remove_folder (folder);
    close (lock);
  }
  return adopted;
}
