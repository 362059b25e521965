/*
 * Ends or freezes the process that it is preloaded into, at one call to or from one peer.
 *
 * A worker has an effect only through a socket. So each boundary of an effect is a number: the n-th call that sends bytes
 * to a peer, or that brings bytes from it, and whether the process stops before that call or after it. The program under
 * test knows nothing of this.
 *
 *   STOP_AT_PORTS   three ports: ledger,broker,vendors     (always)
 *   STOP_AT_REPORT  file that lines are appended to        (always)
 *   STOP_AT_PEER    0, 1 or 2: which of these ports        (to be armed)
 *   STOP_AT_WAY     out or in
 *   STOP_AT_SIDE    before or after
 *   STOP_AT_CALL    n, from 1
 *   STOP_AT_SIGNAL  KILL or STOP
 *   STOP_AT_BEGINS  only sends that begin with this text count (optional)
 *
 * Lines: `stop <call> inside|outside <idempotency key or ->` when it strikes, where `inside` says that the process
 * freezes while the bytes of a link are about to leave: the gate has been passed, the kernel has nothing yet.
 * `late <key>` for a link that leaves after a freeze before the ledger answered a question asked since (an answer that
 * comes over another connection may be of before): it, too, was between the gate and the kernel.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum peer { LEDGER, BROKER, VENDORS, PEERS, NOBODY = PEERS };
enum way { OUT, IN };
enum side { BEFORE, AFTER };
/* More descriptors than a worker of the tests has. */
enum { DESCRIPTORS = 1024 };

static int ports[PEERS];
static const char *report, *begins;
static int armed, signal_wanted;
static enum peer peer_wanted;
static enum way way_wanted;
static enum side side_wanted;
static unsigned long call_wanted;
static atomic_ulong calls;
/* The process was frozen, and since then the ledger has not answered: nothing new can have opened the gate. */
static atomic_int unanswered;
/* Over which connections the ledger was asked since. */
static atomic_uchar asked_over[DESCRIPTORS];

static const char *env(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

__attribute__((constructor)) static void read_orders(void) {
    if (sscanf(env("STOP_AT_PORTS"), "%d,%d,%d", &ports[LEDGER], &ports[BROKER], &ports[VENDORS]) != PEERS)
        return;
    report = getenv("STOP_AT_REPORT");
    begins = env("STOP_AT_BEGINS");
    call_wanted = strtoul(env("STOP_AT_CALL"), NULL, 10);
    peer_wanted = (enum peer)atoi(env("STOP_AT_PEER"));
    way_wanted = strcmp(env("STOP_AT_WAY"), "in") == 0 ? IN : OUT;
    side_wanted = strcmp(env("STOP_AT_SIDE"), "after") == 0 ? AFTER : BEFORE;
    signal_wanted = strcmp(env("STOP_AT_SIGNAL"), "KILL") == 0 ? SIGKILL : SIGSTOP;
    armed = call_wanted > 0;
}

/* Asked of the kernel each time: nothing to forget when a descriptor is closed and given to another. */
static enum peer peer_of(int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int port = 0;
    if (!report || getpeername(fd, (struct sockaddr *)&address, &size) != 0)
        return NOBODY;
    if (address.ss_family == AF_INET)
        port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6)
        port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    for (int peer = 0; peer < PEERS; peer++)
        if (port == ports[peer])
            return peer;
    return NOBODY;
}

/* By the bare system calls: those of the library are ours. */
static void say(const char *line) {
    long fd = syscall(SYS_openat, AT_FDCWD, report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    syscall(SYS_write, fd, line, strlen(line));
    syscall(SYS_close, fd);
}

/* The first bytes of what is sent, as text. */
static void head_of(char *head, size_t room, const struct iovec *parts, int count) {
    size_t filled = 0;
    for (int i = 0; i < count && filled + 1 < room; i++) {
        size_t part = parts[i].iov_len < room - 1 - filled ? parts[i].iov_len : room - 1 - filled;
        memcpy(head + filled, parts[i].iov_base, part);
        filled += part;
    }
    head[filled] = 0;
}

static void key_in(char *key, size_t room, const char *head) {
    const char *name = "idempotency-key: ", *found = strcasestr(head, name);
    snprintf(key, room, "%.36s", found ? found + strlen(name) : "-");
}

/* To this very thread, so that it stops before it does anything else; the freeze then takes all the others. */
static void strike(unsigned long call, const char *place, const char *key) {
    char line[128];
    snprintf(line, sizeof line, "stop %lu %s %s\n", call, place, key);
    say(line);
    if (signal_wanted == SIGSTOP)
        atomic_store(&unanswered, 1);
    syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), signal_wanted);
}

static void say_late(const char *key) {
    char line[128];
    snprintf(line, sizeof line, "late %s\n", key);
    say(line);
}

static int counts(enum peer peer, enum way way, const char *head) {
    int meant = armed && peer == peer_wanted && way == way_wanted;
    return meant && (way == IN || strncmp(head, begins, strlen(begins)) == 0);
}

/* Before bytes leave. Answers the call's number, if the process is to stop after it. */
static unsigned long leaving(enum peer peer, const struct iovec *parts, int count) {
    char head[1024], key[40];
    head_of(head, sizeof head, parts, count);
    key_in(key, sizeof key, head);
    int link = peer == VENDORS && strncmp(head, "PUT ", 4) == 0;
    int residue = link && signal_wanted == SIGSTOP;
    unsigned long call = counts(peer, OUT, head) ? atomic_fetch_add(&calls, 1) + 1 : 0;
    int here = call && call == call_wanted;
    if (here && side_wanted == BEFORE)
        strike(call, residue ? "inside" : "outside", key);
    if (link && atomic_load(&unanswered))
        say_late(key);
    return here && side_wanted == AFTER ? call : 0;
}

static void has_left(enum peer peer, int fd, unsigned long call) {
    int error = errno;
    if (call)
        strike(call, "outside", "-");
    else if (peer == LEDGER && fd < DESCRIPTORS && atomic_load(&unanswered))
        atomic_store(&asked_over[fd], 1);
    errno = error;
}

/* Before bytes are taken: only a call that will bring some counts. */
static void taking(enum peer peer, int fd) {
    char byte;
    struct iovec into = {&byte, 1};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1};
    if (side_wanted != BEFORE || !counts(peer, IN, "") || atomic_load(&calls) >= call_wanted)
        return;
    if (syscall(SYS_recvmsg, fd, &message, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return;
    unsigned long call = atomic_fetch_add(&calls, 1) + 1;
    if (call == call_wanted)
        strike(call, "outside", "-");
}

static void has_come(enum peer peer, int fd, ssize_t length) {
    int error = errno;
    if (peer == LEDGER && length > 0 && fd < DESCRIPTORS && atomic_load(&asked_over[fd]))
        atomic_store(&unanswered, 0);
    if (side_wanted == AFTER && length > 0 && counts(peer, IN, "")) {
        unsigned long call = atomic_fetch_add(&calls, 1) + 1;
        if (call == call_wanted)
            strike(call, "outside", "-");
    }
    errno = error;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define SENDS(name, fd, parts, count, call) \
    REAL(name); \
    enum peer peer = peer_of(fd); \
    if (peer == NOBODY) \
        return real call; \
    unsigned long number = leaving(peer, parts, count); \
    ssize_t length = real call; \
    has_left(peer, fd, number); \
    return length

#define TAKES(name, fd, call) \
    REAL(name); \
    enum peer peer = peer_of(fd); \
    if (peer == NOBODY) \
        return real call; \
    taking(peer, fd); \
    ssize_t length = real call; \
    has_come(peer, fd, length); \
    return length

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
    struct iovec one = {(void *)bytes, size};
    SENDS(send, fd, &one, 1, (fd, bytes, size, flags));
}

ssize_t write(int fd, const void *bytes, size_t size) {
    struct iovec one = {(void *)bytes, size};
    SENDS(write, fd, &one, 1, (fd, bytes, size));
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t to_size) {
    struct iovec one = {(void *)bytes, size};
    SENDS(sendto, fd, &one, 1, (fd, bytes, size, flags, to, to_size));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    SENDS(writev, fd, parts, count, (fd, parts, count));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    SENDS(sendmsg, fd, message->msg_iov, (int)message->msg_iovlen, (fd, message, flags));
}

ssize_t recv(int fd, void *bytes, size_t size, int flags) {
    TAKES(recv, fd, (fd, bytes, size, flags));
}

ssize_t read(int fd, void *bytes, size_t size) {
    TAKES(read, fd, (fd, bytes, size));
}

ssize_t recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *from, socklen_t *from_size) {
    TAKES(recvfrom, fd, (fd, bytes, size, flags, from, from_size));
}

ssize_t readv(int fd, const struct iovec *parts, int count) {
    TAKES(readv, fd, (fd, parts, count));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    TAKES(recvmsg, fd, (fd, message, flags));
}
