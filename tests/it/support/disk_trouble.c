/*
 * A disk in trouble, as a library that is loaded before the system's own (LD_PRELOAD).
 *
 * DISK_TROUBLE names a file with one rule on each line:
 *
 *     ERROR CALLS TEXT [ROOM]
 *
 * Calls of these kinds on files whose path contains TEXT fail with ERROR. With ROOM they fail only
 * after this many bytes were written, the last write being short, as on a disk that fills up. The
 * file is read again for each call, so a test can change it while the program runs; without the file
 * nothing fails. The test replaces it by renaming, and a new file counts its ROOM from zero.
 *
 * CALLS is one of:
 *     write   write, pwrite, writev, pwritev, copy_file_range, ftruncate, fallocate
 *     sync    fsync, fdatasync
 *     make    open with O_CREAT, mkdir, rename, link
 *     read    read, pread, readv
 *
 * Everything else is passed on by a system call, so that nothing here calls the function it replaces.
 * System calls that a program makes without the C library are not seen.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RULES_BYTES_MAX 4096
#define RULES_MAX 16

static atomic_ullong written[RULES_MAX];
static atomic_ullong counted_for;

struct outcome {
	int error;    /* 0: none */
	uint64_t room; /* bytes that may still be written before the error comes */
	int rule;
};

static const struct {
	const char *name;
	int number;
} errors[] = {
	{ "ENOSPC", ENOSPC }, { "EIO", EIO },	    { "EDQUOT", EDQUOT },
	{ "EROFS", EROFS },   { "EACCES", EACCES }, { "EMFILE", EMFILE },
};

static int error_of(const char *name)
{
	for (size_t at = 0; at < sizeof errors / sizeof errors[0]; at++)
		if (strcmp(errors[at].name, name) == 0)
			return errors[at].number;
	return EIO;
}

/* The current rules; 0 if there are none. */
static size_t read_rules(char *rules)
{
	const char *path = getenv("DISK_TROUBLE");
	if (!path)
		return 0;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	struct stat about;
	uint64_t version = 0;
	if (fstat(fd, &about) == 0)
		version = (uint64_t)about.st_ino ^ ((uint64_t)about.st_mtim.tv_sec << 30) ^
			  (uint64_t)about.st_mtim.tv_nsec;
	if (atomic_exchange(&counted_for, version) != version)
		for (int rule = 0; rule < RULES_MAX; rule++)
			atomic_store(&written[rule], 0);
	long length = syscall(SYS_read, fd, rules, RULES_BYTES_MAX - 1);
	syscall(SYS_close, fd);
	if (length < 0)
		length = 0;
	rules[length] = 0;
	return (size_t)length;
}

static struct outcome look_up(const char *calls, const char *path)
{
	struct outcome fine = { 0, 0, 0 };
	int before = errno;
	char rules[RULES_BYTES_MAX];
	size_t length = read_rules(rules);
	errno = before;
	char *rest = NULL;
	int number = 0;
	if (length == 0)
		return fine;
	for (char *line = strtok_r(rules, "\n", &rest); line && number < RULES_MAX;
	     line = strtok_r(NULL, "\n", &rest), number++) {
		char error[16], kind[16], text[PATH_MAX];
		unsigned long long room = 0;
		int parts = sscanf(line, "%15s %15s %4095s %llu", error, kind, text, &room);
		if (parts < 3 || strcmp(kind, calls) != 0 || !strstr(path, text))
			continue;
		uint64_t gone = atomic_load(&written[number]);
		struct outcome found = { error_of(error), room > gone ? room - gone : 0, number };
		return found;
	}
	return fine;
}

static struct outcome on_fd(const char *calls, int fd)
{
	char link[64], path[PATH_MAX];
	struct outcome fine = { 0, 0, 0 };
	int before = errno;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
	errno = before;
	/* Sockets and pipes have no path. */
	if (length <= 0 || path[0] != '/')
		return fine;
	path[length] = 0;
	return look_up(calls, path);
}

/* Whether a call that moves no bytes fails. */
static int fails(struct outcome outcome)
{
	if (outcome.error == 0)
		return 0;
	errno = outcome.error;
	return 1;
}

/* How much of COUNT may be written; negative if the call must fail. */
static ssize_t allowed(struct outcome outcome, size_t count)
{
	if (outcome.error == 0)
		return (ssize_t)count;
	if (outcome.room == 0 && count > 0) {
		errno = outcome.error;
		return -1;
	}
	return (ssize_t)(count < outcome.room ? count : outcome.room);
}

static ssize_t note(struct outcome outcome, ssize_t moved)
{
	if (outcome.error != 0 && moved > 0)
		atomic_fetch_add(&written[outcome.rule], (unsigned long long)moved);
	return moved;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
	struct outcome outcome = on_fd("write", fd);
	ssize_t most = allowed(outcome, count);
	return most < 0 ? -1 : note(outcome, syscall(SYS_write, fd, bytes, (size_t)most));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
	struct outcome outcome = on_fd("write", fd);
	ssize_t most = allowed(outcome, count);
	return most < 0 ? -1 : note(outcome, syscall(SYS_pwrite64, fd, bytes, (size_t)most, offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	return pwrite64(fd, bytes, count, offset);
}

/* Without ROOM, all or nothing; with it, the part that still fits. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
	struct outcome outcome = on_fd("write", fd);
	if (outcome.error == 0)
		return syscall(SYS_writev, fd, parts, count);
	for (int at = 0; at < count; at++)
		if (parts[at].iov_len > 0)
			return write(fd, parts[at].iov_base, parts[at].iov_len);
	return 0;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	for (int at = 0; at < count; at++)
		if (parts[at].iov_len > 0)
			return pwrite64(fd, parts[at].iov_base, parts[at].iov_len, offset);
	return 0;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
	return pwritev(fd, parts, count, offset);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags)
{
	struct outcome outcome = on_fd("write", out);
	ssize_t most = allowed(outcome, count);
	if (most < 0)
		return -1;
	return note(outcome, syscall(SYS_copy_file_range, in, from, out, to, (size_t)most, flags));
}

int ftruncate64(int fd, off64_t length)
{
	if (fails(on_fd("write", fd)))
		return -1;
	return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length)
{
	return ftruncate64(fd, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	if (fails(on_fd("write", fd)))
		return -1;
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	return fallocate64(fd, mode, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	return fallocate64(fd, 0, offset, length) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
	return posix_fallocate64(fd, offset, length);
}

int fsync(int fd)
{
	if (fails(on_fd("sync", fd)))
		return -1;
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	if (fails(on_fd("sync", fd)))
		return -1;
	return (int)syscall(SYS_fdatasync, fd);
}

int openat64(int folder, const char *path, int flags, ...)
{
	mode_t mode = 0;
	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_list more;
		va_start(more, flags);
		mode = va_arg(more, mode_t);
		va_end(more);
	}
	if ((flags & O_CREAT) && fails(look_up("make", path)))
		return -1;
	return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define OPEN(name, folder, before)                            \
	int name(before const char *path, int flags, ...)         \
	{                                                         \
		mode_t mode = 0;                                      \
		if (flags & (O_CREAT | __O_TMPFILE)) {                \
			va_list more;                                     \
			va_start(more, flags);                            \
			mode = va_arg(more, mode_t);                      \
			va_end(more);                                     \
		}                                                     \
		return openat64(folder, path, flags, mode);           \
	}
#define COMMA ,
OPEN(open64, AT_FDCWD, )
OPEN(open, AT_FDCWD, )
OPEN(openat, folder, int folder COMMA)

int mkdir(const char *path, mode_t mode)
{
	if (fails(look_up("make", path)))
		return -1;
	return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to)
{
	if (fails(look_up("make", to)))
		return -1;
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
	if (fails(look_up("make", to)))
		return -1;
	return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

ssize_t read(int fd, void *bytes, size_t count)
{
	if (fails(on_fd("read", fd)))
		return -1;
	return syscall(SYS_read, fd, bytes, count);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset)
{
	if (fails(on_fd("read", fd)))
		return -1;
	return syscall(SYS_pread64, fd, bytes, count, offset);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset)
{
	return pread64(fd, bytes, count, offset);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
	if (fails(on_fd("read", fd)))
		return -1;
	return syscall(SYS_readv, fd, parts, count);
}
