/* Viewers of the media benchmark: `viewers tcp|udp FD...`, sockets on which a stream plays already, or will: the answer to
 * PLAY may stand before the first frame. Where it stands behind one, which GStreamer's server does to who joins a stream under way,
 * it is counted.
 *
 * A line on standard input ends a window and begins the next; each window is told on standard output as a line of JSON:
 * bytes of media, packets, access units, packets missing by sequence number, sockets that ended, late answers, and how old access
 * units were when their last packet came (see cameras.c), in microseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 18, STEP_US = 10, STEPS = 200000, BATCH = 64, DATAGRAM = 2048 };

struct viewer {
    int fd, begun, length;
    uint16_t sequence;
    uint8_t *buffer;
};

static uint64_t bytes, packets, units, missing, ended, answers, late[STEPS + 1];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void packet(struct viewer *it, const uint8_t *p, size_t length) {
    if (length < 26 || p[0] != 0x80) fprintf(stderr, "no packet of the cameras: %zu bytes, %02x\n", length, p[0]), exit(1);
    uint16_t sequence = p[2] << 8 | p[3];
    if (it->begun) missing += (uint16_t)(sequence - it->sequence - 1);
    it->begun = 1, it->sequence = sequence;
    bytes += length, packets++;
    if (p[1] & 0x80) {
        uint64_t due, now = now_ns();
        memcpy(&due, p + 14, 8);
        uint64_t step = now > due ? (now - due) / 1000 / STEP_US : 0;
        units++, late[step < STEPS ? step : STEPS]++;
    }
}

/* 0 at the end. */
static int frames(struct viewer *it) {
    ssize_t n = recv(it->fd, it->buffer + it->length, ROOM - it->length, MSG_DONTWAIT);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    it->length += n;
    int at = 0;
    while (it->length - at >= 4) {
        uint8_t *p = it->buffer + at;
        if (p[0] == 'R') {
            uint8_t *end = memmem(p, it->length - at, "\r\n\r\n", 4);
            if (!end) break;
            if (memcmp(p, "RTSP/1.0 200 ", 13)) fprintf(stderr, "not played: %.60s\n", p), exit(1);
            answers += it->begun;
            at = end + 4 - it->buffer;
            continue;
        }
        if (p[0] != '$') fprintf(stderr, "no frame: %.60s\n", p), exit(1);
        int length = p[2] << 8 | p[3];
        if (it->length - at < 4 + length) break;
        if (p[1] % 2 == 0) packet(it, p + 4, length);
        at += 4 + length;
    }
    memmove(it->buffer, it->buffer + at, it->length -= at);
    return 1;
}

static int datagrams(struct viewer *it) {
    static struct mmsghdr heads[BATCH];
    static struct iovec rooms[BATCH];
    static uint8_t room[BATCH][DATAGRAM];
    for (int i = 0; i < BATCH; i++) {
        rooms[i] = (struct iovec){room[i], DATAGRAM};
        heads[i].msg_hdr = (struct msghdr){.msg_iov = &rooms[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(it->fd, heads, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) packet(it, room[i], heads[i].msg_len);
    return 1;
}

static uint64_t percentile(double share) {
    uint64_t passed = 0;
    for (int step = 0; step <= STEPS; step++)
        if ((passed += late[step]) >= share * units) return (uint64_t)step * STEP_US;
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: viewers tcp|udp FD...\n"), 2;
    int udp = strcmp(argv[1], "udp") == 0, poll = epoll_create1(0);
    struct viewer *viewers = calloc(argc, sizeof *viewers);
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    for (int i = 2; i < argc; i++) {
        viewers[i].fd = atoi(argv[i]);
        if (!udp) viewers[i].buffer = malloc(ROOM);
        event.data.u32 = i;
        if (epoll_ctl(poll, EPOLL_CTL_ADD, viewers[i].fd, &event)) return perror("a socket"), 1;
    }
    event.data.u32 = 0, epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
    puts("ready"), fflush(stdout);
    for (;;) {
        int n = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct viewer *it = &viewers[events[i].data.u32];
            if (events[i].data.u32 == 0) {
                char line[64];
                if (read(0, line, sizeof line) <= 0) return 0;
                printf("{\"bytes\": %lu, \"packets\": %lu, \"units\": %lu, \"missing\": %lu, \"ended\": %lu, \"answers\": %lu, "
                       "\"p50_us\": %lu, \"p99_us\": %lu}\n", bytes, packets, units, missing, ended, answers, percentile(0.5), percentile(0.99));
                fflush(stdout);
                bytes = packets = units = missing = ended = 0;
                memset(late, 0, sizeof late);
            } else if (!(udp ? datagrams(it) : frames(it))) {
                ended++;
                epoll_ctl(poll, EPOLL_CTL_DEL, it->fd, NULL);
            }
        }
    }
}
