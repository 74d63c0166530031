/* Cameras of the media benchmark: `cameras PORT BITS_PER_SECOND`.
 *
 * Speaks as much RTSP as it takes to be played (RFC 2326), without a login, on every address of this machine, and sends
 * each session a made stream: 25 access units a second, H.264 in fragmentation units (RFC 6184 §5.8), a key frame of
 * eight times the size of the others every two seconds. Sessions are out of step. Each packet carries the monotonic
 * nanosecond at which its access unit was due, from its third byte of payload on.
 *
 * A session that takes less than it is sent is sent nothing more until it has taken what waits: such access units are
 * counted, and told on standard output when standard input ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { RATE = 25, GROUP = 50, KEY_FACTOR = 8, PAYLOAD = 1400, HEAD = 4 + 12, SESSIONS_MAX = 4096, SLICES = 40 };
enum { REQUEST_MAX = 4096, TICKS = 3600, SLICE_NS = 1000000000 / RATE / SLICES };

struct session {
    int fd, playing, slice, number, length;
    uint16_t sequence;
    uint32_t timestamp;
    char request[REQUEST_MAX];
    uint8_t *unit;
    size_t waiting, sent;
};

static struct session *sessions[SESSIONS_MAX];
static int count;
static uint64_t skipped, units;
static size_t plain_bytes, key_bytes;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void drop(int place) {
    close(sessions[place]->fd);
    free(sessions[place]->unit);
    free(sessions[place]);
    sessions[place] = sessions[--count];
}

/* Sends what waits; 0 if the session is gone. */
static int push(struct session *it) {
    while (it->sent < it->waiting) {
        ssize_t n = send(it->fd, it->unit + it->sent, it->waiting - it->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return errno == EAGAIN;
        it->sent += n;
    }
    it->waiting = it->sent = 0;
    return 1;
}

/* Makes the next access unit. */
static void make(struct session *it, uint64_t due) {
    int key = it->number++ % GROUP == 0;
    size_t left = key ? key_bytes : plain_bytes, at = 0;
    int first = 1;
    it->timestamp += TICKS;
    while (left > 0) {
        size_t body = left < PAYLOAD ? left : PAYLOAD;
        left -= body;
        uint8_t *p = it->unit + at;
        size_t packet = 12 + body;
        p[0] = '$', p[1] = 0, p[2] = packet >> 8, p[3] = packet & 255;
        p[4] = 0x80, p[5] = 96 | (left == 0 ? 0x80 : 0);
        uint16_t sequence = htons(it->sequence++);
        uint32_t stamp = htonl(it->timestamp), source = htonl(0x1000 + it->fd);
        memcpy(p + 6, &sequence, 2), memcpy(p + 8, &stamp, 4), memcpy(p + 12, &source, 4);
        p[16] = 0x7c, p[17] = (first ? 0x80 : 0) | (left == 0 ? 0x40 : 0) | (key ? 5 : 1);
        memcpy(p + 18, &due, 8);
        first = 0;
        at += 4 + packet;
    }
    it->waiting = at, it->sent = 0;
    units++;
}

static void answer(struct session *it) {
    char *cseq = strcasestr(it->request, "\r\nCSeq:"), reply[2048], extra[1024] = "", body[512] = "";
    if (strncmp(it->request, "OPTIONS", 7) == 0)
        strcpy(extra, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n");
    else if (strncmp(it->request, "DESCRIBE", 8) == 0) {
        strcpy(body, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
                     "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42C01E;"
                     "sprop-parameter-sets=Z0LAHtoCgL/lwFqAgICgAAADACAAAAZB4sXV,aM48gA==\r\na=control:track1\r\n");
        sprintf(extra, "Content-Type: application/sdp\r\nContent-Length: %zu\r\n", strlen(body));
    } else if (strncmp(it->request, "SETUP", 5) == 0)
        strcpy(extra, "Session: 77;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
    else
        strcpy(extra, "Session: 77\r\n");
    int n = snprintf(reply, sizeof reply, "RTSP/1.0 200 OK\r\nCSeq: %d\r\n%s\r\n%s", cseq ? atoi(cseq + 7) : 0, extra, body);
    /* What is sent meanwhile ends before: an answer never stands within an access unit. */
    while (it->waiting > 0 && push(it) && it->waiting > 0) usleep(1000);
    if (send(it->fd, reply, n, MSG_NOSIGNAL) != n) fail("an answer");
    if (strncmp(it->request, "PLAY", 4) == 0) it->playing = 1;
}

/* Reads requests; 0 if the session is gone. Reports of the viewer are passed over. */
static int hear(struct session *it) {
    ssize_t n = recv(it->fd, it->request + it->length, REQUEST_MAX - 1 - it->length, MSG_DONTWAIT);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    it->length += n;
    for (;;) {
        it->request[it->length] = 0;
        size_t gone;
        if (it->length >= 4 && it->request[0] == '$') {
            gone = 4 + ((uint8_t)it->request[2] << 8 | (uint8_t)it->request[3]);
            if (gone > (size_t)it->length) return 1;
        } else {
            char *end = strstr(it->request, "\r\n\r\n");
            if (!end) return 1;
            if (strncmp(it->request, "TEARDOWN", 8) == 0) return 0;
            gone = end + 4 - it->request;
            answer(it);
        }
        memmove(it->request, it->request + gone, it->length - gone);
        it->length -= gone;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: cameras PORT BITS_PER_SECOND\n"), 2;
    size_t group = atoll(argv[2]) / 8 / RATE * GROUP;
    plain_bytes = group / (GROUP - 1 + KEY_FACTOR), key_bytes = KEY_FACTOR * plain_bytes;
    size_t room = key_bytes + (key_bytes / PAYLOAD + 1) * (size_t)HEAD;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, poll = epoll_create1(0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 1024)) fail("listen");
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec every = {{0, SLICE_NS}, {0, SLICE_NS}};
    timerfd_settime(timer, 0, &every, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = timer, epoll_ctl(poll, EPOLL_CTL_ADD, timer, &event);
    event.data.fd = 0, epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
    uint64_t begun = now_ns(), slices = 0;
    puts("ready"), fflush(stdout);
    for (int next = 0;;) {
        int n = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) {
                printf("{\"units\": %lu, \"skipped\": %lu}\n", units, skipped);
                return 0;
            } else if (fd == listener) {
                int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (peer < 0 || count == SESSIONS_MAX) fail("accept");
                setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                struct session *it = calloc(1, sizeof *it);
                it->fd = peer, it->slice = next++ % SLICES, it->unit = calloc(1, room);
                it->number = next * 7 % GROUP;
                sessions[count++] = it;
                event.events = EPOLLIN, event.data.fd = peer, epoll_ctl(poll, EPOLL_CTL_ADD, peer, &event);
            } else if (fd == timer) {
                uint64_t passed;
                if (read(timer, &passed, 8) != 8) continue;
                for (; passed > 0; passed--, slices++)
                    for (int k = 0; k < count; k++) {
                        struct session *it = sessions[k];
                        if (!it->playing || slices % SLICES != (uint64_t)it->slice) continue;
                        if (it->waiting > 0) skipped++, it->number++;
                        else make(it, begun + (slices + 1) * SLICE_NS);
                    }
                for (int k = 0; k < count; k++)
                    if (sessions[k]->waiting > 0 && !push(sessions[k])) drop(k--);
            } else
                for (int k = 0; k < count; k++)
                    if (sessions[k]->fd == fd) {
                        if (!hear(sessions[k])) drop(k);
                        break;
                    }
        }
    }
}
