/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/contain-private.h"

#include <glib/gi18n-lib.h>

#ifdef HAVE_SECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* Beyond the highest number of any architecture's table. */
#define NUMBERS 1024

/* What decoding, encoding, threads and files need; each was seen in use, or is a variant of one that was on another
 * architecture or C library. Names that an architecture lacks are left out there. */
static const char *const allowed[] = {
    /* files that are open, and those that Landlock lets be opened */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "lseek",
    "_llseek",
    "close",
    "close_range",
    "fstat",
    "fstat64",
    "stat",
    "stat64",
    "lstat",
    "lstat64",
    "newfstatat",
    "fstatat64",
    "statx",
    "statfs",
    "fstatfs",
    "open",
    "openat",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents",
    "getdents64",
    "getcwd",
    "ftruncate",
    "truncate",
    "fallocate",
    "fadvise64",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "copy_file_range",
    "sendfile",
    "flock",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "umask",
    "fchmod",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "pipe",
    "pipe2",
    "eventfd",
    "eventfd2",
    /* memory */
    "brk",
    "mmap",
    "mmap2",
    "mprotect",
    "munmap",
    "mremap",
    "madvise",
    "mlock",
    "munlock",
    "msync",
    "mincore",
    "memfd_create",
    "get_mempolicy",
    "set_mempolicy",
    "mbind",
    "membarrier",
    /* threads and time */
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "arch_prctl",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getattr",
    "sched_setattr",
    "sched_getparam",
    "sched_setparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getcpu",
    "getpid",
    "getppid",
    "gettid",
    "exit",
    "exit_group",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_delete",
    "timer_getoverrun",
    "restart_syscall",
    "wait4",
    "waitid",
    /* signals and waiting */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "sigaltstack",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    /* what it is told of itself and of the machine */
    "getrandom",
    "getrusage",
    "sysinfo",
    "uname",
    "getrlimit",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "getpriority",
    "getpgrp",
    "getpgid",
    "getsid",
    "capget",
    /* sockets that are open: there is one, to the runner */
    "recvmsg",
    "recvfrom",
    "sendmsg",
    "shutdown",
    "getsockopt",
    "getsockname",
    "getpeername",
#if defined(__SANITIZE_ADDRESS__)
    /* The check for leaks stops the process from a clone of itself. */
    "ptrace",
    "kill",
    "prctl",
    "clone",
    "process_vm_readv",
    "prlimit64",
    "tgkill",
#endif
};

static char *names[NUMBERS];
static volatile sig_atomic_t told[NUMBERS];

/* FALSE where it is not known how a call is made to return. */
static gboolean
set_return_value (ucontext_t *context, long value)
{
#if defined(__x86_64__)
  context->uc_mcontext.gregs[REG_RAX] = value;
  return TRUE;
#elif defined(__aarch64__)
  context->uc_mcontext.regs[0] = value;
  return TRUE;
#else
  return FALSE;
#endif
}

static void
say (const char *text)
{
  gssize written = write (STDERR_FILENO, text, strlen (text));

  (void)written;
}

/* In a signal handler: only what is safe there. A library may well do without what it is refused, so the call fails and
 * the worker goes on; the runner adds the name to the failure, if it comes to one. */
static void
on_refused (int number, siginfo_t *info, void *context)
{
  int saved = errno, call = info->si_syscall;
  const char *name = call >= 0 && call < NUMBERS ? names[call] : NULL;

  if (name && !told[call]) {
    char line[96] = DERUSH_REFUSED_PREFIX;

    told[call] = 1;
    strncat (line, name, sizeof line - sizeof DERUSH_REFUSED_PREFIX - 2);
    strcat (line, "\n");
    say (line);
  }
  if (!set_return_value (context, name ? -EPERM : -ENOSYS)) {
    say (DERUSH_REFUSED_PREFIX "unknown\n");
    _exit (128 + SIGSYS);
  }
  errno = saved;
}

static void
learn_names (void)
{
  for (int i = 0; i < NUMBERS; i++) {
    char *name = seccomp_syscall_resolve_num_arch (SCMP_ARCH_NATIVE, i);

    names[i] = name ? g_strdup (name) : NULL;
    free (name);
  }
}

/* A call that this architecture has not needs no rule. */
static int
add (scmp_filter_ctx filter, guint32 action, const char *name, guint n, const struct scmp_arg_cmp *arguments)
{
  int number = seccomp_syscall_resolve_name (name);

  if (number < 0)
    return 0;
  return seccomp_rule_add_exact_array (filter, action, number, n, arguments);
}

/* Calls that are allowed with some arguments only. */
static int
add_narrow (scmp_filter_ctx filter)
{
  const struct scmp_arg_cmp thread = SCMP_A0 (SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
  const struct scmp_arg_cmp own = SCMP_A0 (SCMP_CMP_EQ, getpid ());
  const struct scmp_arg_cmp nobody = SCMP_A4 (SCMP_CMP_EQ, 0);
  const struct scmp_arg_cmp stream[] = {SCMP_A0 (SCMP_CMP_EQ, AF_UNIX), SCMP_A1 (SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM)};
  const struct scmp_arg_cmp look[] = {SCMP_A2 (SCMP_CMP_EQ, 0)};
  static const int harmless[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_SET_TIMERSLACK, PR_GET_DUMPABLE};
  int result = 0;

#if !defined(__SANITIZE_ADDRESS__)
  result |= add (filter, SCMP_ACT_ALLOW, "clone", 1, &thread);
  result |= add (filter, SCMP_ACT_ALLOW, "tgkill", 1, &own);
  result |= add (filter, SCMP_ACT_ALLOW, "prlimit64", 1, look);
  for (guint i = 0; i < G_N_ELEMENTS (harmless); i++) {
    const struct scmp_arg_cmp option = SCMP_A0 (SCMP_CMP_EQ, harmless[i]);

    result |= add (filter, SCMP_ACT_ALLOW, "prctl", 1, &option);
  }
#else
  (void)thread, (void)own, (void)look, (void)harmless;
#endif
  /* A datagram socket could still send to whoever has a name. */
  result |= add (filter, SCMP_ACT_ALLOW, "socketpair", 2, stream);
  result |= add (filter, SCMP_ACT_ALLOW, "sendto", 1, &nobody);
  /* Its flags cannot be looked at; the C library goes back to clone. */
  result |= add (filter, SCMP_ACT_ERRNO (ENOSYS), "clone3", 0, NULL);
  /* Asked of every stream, whether it is a terminal. */
  result |= add (filter, SCMP_ACT_ERRNO (ENOTTY), "ioctl", 0, NULL);
  return result;
}

char *
derush_contain_system_calls (void)
{
  struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_TRAP);
  int result = 0;

  if (!filter)
    return g_strdup (g_strerror (ENOMEM));
  learn_names ();
  sigaction (SIGSYS, &action, NULL);
  result |= seccomp_attr_set (filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  result |= seccomp_attr_set (filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  result |= seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1);
  for (guint i = 0; i < G_N_ELEMENTS (allowed); i++)
    result |= add (filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
  result |= add_narrow (filter);
  if (result == 0)
    result = seccomp_load (filter);
  seccomp_release (filter);
  return result == 0 ? NULL : g_strdup (g_strerror (ABS (result)));
}

#else

char *
derush_contain_system_calls (void)
{
  return g_strdup (_ ("Derush was built without libseccomp"));
}

#endif
