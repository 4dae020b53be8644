/* Loaded before libc: counts the calls that wait for the disk, and how long they take. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <time.h>

static atomic_long calls, nanoseconds;

long bench_sync_calls(void) { return calls; }
long bench_sync_nanoseconds(void) { return nanoseconds; }

static int counted(const char *name, int fd) {
    struct timespec from, to;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    clock_gettime(CLOCK_MONOTONIC, &from);
    int result = real(fd);
    clock_gettime(CLOCK_MONOTONIC, &to);
    atomic_fetch_add(&calls, 1);
    atomic_fetch_add(&nanoseconds, (to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec);
    return result;
}

int fsync(int fd) { return counted("fsync", fd); }
int fdatasync(int fd) { return counted("fdatasync", fd); }
