/*
 * The wall clock of the process that it is preloaded into goes right but for so many seconds, which may change at any time:
 * a machine's clock that is stepped. What is never stepped, the monotonic and the boot-time clock, is left alone.
 *
 *   WALL_CLOCK_STEP   file of eight bytes, a number of seconds as the machine writes it
 *
 * A wait until a time of day lasts until this clock shows it, also where it is put back meanwhile: as the kernel has it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, LOOK_EVERY = 20000000 };

static volatile int64_t *step;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WALL_CLOCK_STEP");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *seen = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (seen != MAP_FAILED)
        step = seen;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (!failed && step && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += *step;
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told)
        *told = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, time) ? base : 0;
}

static int64_t nanoseconds(const struct timespec *time) { return (int64_t)time->tv_sec * SECOND + time->tv_nsec; }

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    for (;;) {
        struct timespec wall, look;
        clock_gettime(CLOCK_REALTIME, &wall);
        int64_t left = nanoseconds(until) - nanoseconds(&wall);
        clock_gettime(CLOCK_MONOTONIC, &look);
        int64_t at = nanoseconds(&look) + (left < 0 ? 0 : left < LOOK_EVERY ? left : LOOK_EVERY);
        look = (struct timespec){.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
        int result = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &look);
        if (result != ETIMEDOUT || left <= LOOK_EVERY)
            return result;
    }
}

/* The same as C11 calls it: glibc's are the POSIX ones under another name. */
int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    switch (pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until)) {
    case 0:
        return thrd_success;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}
