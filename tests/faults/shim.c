/* Lets the n-th call of a kind fail, for files below $FAULTS_BELOW; preloaded into a process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* The same numbers as in disk.py. */
enum kind { WRITE, SYNC, RENAME, UNLINK, TRUNCATE, KINDS };
enum how { FAIL, SHORT, KILL };

static struct {
    int kind, nth, how, error, lasting;
} armed = {.kind = -1};
static int calls[KINDS];
static int fired;

void faults_arm(int kind, int nth, int how, int error, int lasting)
{
    memset(calls, 0, sizeof calls);
    fired = 0;
    armed.nth = nth, armed.how = how, armed.error = error, armed.lasting = lasting;
    armed.kind = kind;
}

int faults_fired(void) { return fired; }

int faults_calls(int kind) { return calls[kind]; }

static int is_below(const char *path)
{
    const char *below = getenv("FAULTS_BELOW");
    return below != NULL && path != NULL && strncmp(path, below, strlen(below)) == 0;
}

static int is_fd_below(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = '\0';
    return is_below(path);
}

/* Whether this call is to fail; a call that is to be the last of the process does not return,
   unless it has some bytes to write first. */
static int is_faulty(enum kind kind)
{
    int call = __atomic_add_fetch(&calls[kind], 1, __ATOMIC_SEQ_CST);
    if ((int)kind != armed.kind || call < armed.nth || (call > armed.nth && !armed.lasting))
        return 0;
    fired++;
    if (armed.how == KILL && kind != WRITE)
        kill(getpid(), SIGKILL);
    return 1;
}

static int refused(enum kind kind)
{
    if (!is_faulty(kind))
        return 0;
    errno = armed.error;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A write that is faulty: half of the bytes by `part`, or none. */
static ssize_t spoil(size_t count, ssize_t (*part)(size_t half, void *call), void *call)
{
    if (armed.how == FAIL || (armed.lasting && fired > 1)) {
        errno = armed.error;
        return -1;
    }
    ssize_t written = part((count + 1) / 2, call);
    if (armed.how == KILL)
        kill(getpid(), SIGKILL);
    return written;
}

struct call {
    int fd, at_offset;
    const void *data;
    off64_t offset;
};

static ssize_t write_part(size_t half, void *given)
{
    struct call *call = given;
    return call->at_offset ? REAL(pwrite64)(call->fd, call->data, half, call->offset)
                           : REAL(write)(call->fd, call->data, half);
}

ssize_t write(int fd, const void *data, size_t count)
{
    struct call call = {.fd = fd, .data = data};
    if (is_fd_below(fd) && is_faulty(WRITE))
        return spoil(count, write_part, &call);
    return REAL(write)(fd, data, count);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset)
{
    struct call call = {.fd = fd, .at_offset = 1, .data = data, .offset = offset};
    if (is_fd_below(fd) && is_faulty(WRITE))
        return spoil(count, write_part, &call);
    return REAL(pwrite64)(fd, data, count, offset);
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset)
{
    return pwrite64(fd, data, count, offset);
}

/* Of several buffers a short write takes half of the first. */
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    struct call call = {.fd = fd, .at_offset = 1, .data = parts->iov_base, .offset = offset};
    if (is_fd_below(fd) && is_faulty(WRITE))
        return spoil(parts->iov_len, write_part, &call);
    return REAL(pwritev)(fd, parts, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct call call = {.fd = fd, .data = parts->iov_base};
    if (is_fd_below(fd) && is_faulty(WRITE))
        return spoil(parts->iov_len, write_part, &call);
    return REAL(writev)(fd, parts, count);
}

/* Nobody cuts the power in these tests, so a sync that does not fail need not be waited for. */
int fsync(int fd)
{
    if (!is_fd_below(fd))
        return REAL(fsync)(fd);
    return refused(SYNC) ? -1 : 0;
}

int fdatasync(int fd)
{
    if (!is_fd_below(fd))
        return REAL(fdatasync)(fd);
    return refused(SYNC) ? -1 : 0;
}

int rename(const char *from, const char *to)
{
    return is_below(to) && refused(RENAME) ? -1 : REAL(rename)(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return is_below(to) && refused(RENAME) ? -1 : REAL(renameat)(from_dir, from, to_dir, to);
}

int unlink(const char *path)
{
    return is_below(path) && refused(UNLINK) ? -1 : REAL(unlink)(path);
}

int ftruncate64(int fd, off64_t size)
{
    return is_fd_below(fd) && refused(TRUNCATE) ? -1 : REAL(ftruncate64)(fd, size);
}

int ftruncate(int fd, off_t size)
{
    return is_fd_below(fd) && refused(TRUNCATE) ? -1 : REAL(ftruncate)(fd, size);
}
