/* Subscribers of the events benchmark: `subscribers FIRST_PORT CAMERAS SUBSCRIBERS PASSWORD`.
 *
 * Subscriber number N logs in as `subscriber-N` (WS-Security, PasswordDigest), from 127.0.1.(N + 1), on a connection of its
 * own to each camera's port; it makes a pull point there and pulls, again and again. From standard input: `window` forgets
 * what was measured so far, `stop` tells two lines: for each subscriber and camera the number of the last event it has, and
 * how many events came, were missing, came twice or out of order, how many answers were no answers, and the microseconds
 * from the making of an event until it was here: p50, p99 and the most.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 65536, EVENTS = 256, AGES_MAX = 1 << 24 };

struct pull_point {
    int fd, length, subscriber, camera;
    uint64_t last;
    char path[128], answer[ANSWER_MAX];
};

static const char *password;
static int subscribed;
static uint64_t came, missing, again, bad;
static uint32_t *ages;
static size_t age_count;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* SHA-1 (RFC 3174) of less than 120 octets. */
static void sha1(uint8_t out[20], const uint8_t *in, size_t length) {
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, w[80];
    uint8_t padded[128] = {0};
    size_t whole = length + 9 <= 64 ? 64 : 128;
    memcpy(padded, in, length);
    padded[length] = 0x80;
    padded[whole - 2] = length * 8 >> 8, padded[whole - 1] = length * 8 & 255;
    for (const uint8_t *block = padded; block < padded + whole; block += 64) {
        for (int t = 0; t < 16; t++)
            w[t] = (uint32_t)block[4 * t] << 24 | block[4 * t + 1] << 16 | block[4 * t + 2] << 8 | block[4 * t + 3];
        for (int t = 16; t < 80; t++) {
            uint32_t x = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16];
            w[t] = x << 1 | x >> 31;
        }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int t = 0; t < 80; t++) {
            uint32_t f = t < 20 ? (b & c) | (~b & d) : t < 40 ? b ^ c ^ d : t < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
            uint32_t next = (a << 5 | a >> 27) + f + e + k[t / 20] + w[t];
            e = d, d = c, c = b << 30 | b >> 2, b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int t = 0; t < 20; t++) out[t] = h[t / 4] >> (24 - t % 4 * 8);
}

static void base64(char *to, const uint8_t *from, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < length; at += 3) {
        uint32_t three = from[at] << 16 | (at + 1 < length ? from[at + 1] << 8 : 0) | (at + 2 < length ? from[at + 2] : 0);
        for (int digit = 0; digit < 4; digit++)
            *to++ = at + digit > length ? '=' : digits[three >> (18 - 6 * digit) & 63];
    }
    *to = 0;
}

static void ask(struct pull_point *it, const char *path, const char *body) {
    static char envelope[8192], request[10240];
    uint8_t given[128], digest[20];
    char created[32], nonce[32], proof[32];
    time_t now = time(NULL);
    struct tm tm;
    size_t length = strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    if (getrandom(given, 16, 0) != 16) fail("a nonce");
    base64(nonce, given, 16);
    memcpy(given + 16, created, length);
    memcpy(given + 16 + length, password, strlen(password));
    sha1(digest, given, 16 + length + strlen(password));
    base64(proof, digest, 20);
#define WSS "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
    int said = sprintf(envelope,
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header><w:Security xmlns:w=\"" WSS
        "wssecurity-secext-1.0.xsd\" xmlns:u=\"" WSS "wssecurity-utility-1.0.xsd\"><w:UsernameToken><w:Username>"
        "subscriber-%d</w:Username><w:Password Type=\"" WSS "username-token-profile-1.0#PasswordDigest\">%s</w:Password>"
        "<w:Nonce>%s</w:Nonce><u:Created>%s</u:Created></w:UsernameToken></w:Security></s:Header><s:Body>%s</s:Body>"
        "</s:Envelope>", it->subscriber, proof, nonce, created, body);
    int whole = sprintf(request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: %d"
        "\r\n\r\n%s", path, said, envelope);
    if (send(it->fd, request, whole, MSG_NOSIGNAL) != whole) fail("a request");
}

static void pull(struct pull_point *it) {
    ask(it, it->path, "<e:PullMessages xmlns:e=\"http://www.onvif.org/ver10/events/wsdl\"><e:Timeout>PT60S</e:Timeout>"
                      "<e:MessageLimit>50</e:MessageLimit></e:PullMessages>");
}

static uint64_t item(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void read_events(struct pull_point *it, const char *text) {
    uint64_t now = now_us();
    while ((text = strstr(text, "PropertyOperation=\"Changed\""))) {
        text++;
        uint64_t number = item(text, "Name=\"Number\" Value=\""), made = item(text, "Name=\"Made\" Value=\"");
        came++;
        if (it->last && number <= it->last) again++;
        else if (it->last) missing += number - it->last - 1;
        if (number > it->last) it->last = number;
        if (age_count < AGES_MAX) ages[age_count++] = now > made ? now - made : 0;
    }
}

static void understand(struct pull_point *it, int is_well, const char *body) {
    if (!is_well) {
        if (!bad++) fprintf(stderr, "camera %d, subscriber %d: %.400s\n", it->camera, it->subscriber, body);
        if (!it->path[0]) exit(1);
    } else if (!it->path[0]) {
        const char *at = strstr(body, "Address>http://"), *path = at ? strchr(at + 15, '/') : NULL;
        size_t length = path ? strcspn(path, "<") : 0;
        if (!length || length >= sizeof it->path) fail("no address of a subscription");
        memcpy(it->path, path, length);
        subscribed++;
    } else
        read_events(it, body);
    pull(it);
}

/* Reads answers; 0 if the gateway hung up. */
static int hear(struct pull_point *it) {
    ssize_t n = recv(it->fd, it->answer + it->length, ANSWER_MAX - 1 - it->length, MSG_DONTWAIT);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    it->length += n;
    it->answer[it->length] = 0;
    char *end = strstr(it->answer, "\r\n\r\n"), *said = strcasestr(it->answer, "\r\ncontent-length:");
    if (!end || !said || said > end) return it->length < ANSWER_MAX - 1;
    int whole = end + 4 - it->answer + atoi(said + 17);
    if (whole > it->length) return whole < ANSWER_MAX;
    /* Nothing more comes before the next question. */
    it->length = 0;
    understand(it, strncmp(it->answer + 9, "200", 3) == 0, end + 4);
    return 1;
}

static struct pull_point *connected(int poll, int port, int subscriber, int camera) {
    struct pull_point *it = calloc(1, sizeof *it);
    struct sockaddr_in own = {.sin_family = AF_INET}, gateway = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
    int one = 1;
    if (!it || (it->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) fail("a socket");
    it->subscriber = subscriber, it->camera = camera;
    own.sin_addr.s_addr = htonl(0x7f000101 + subscriber), gateway.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(it->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(it->fd, (struct sockaddr *)&own, sizeof own)) fail("an address of its own");
    if (connect(it->fd, (struct sockaddr *)&gateway, sizeof gateway)) fail("a connection");
    if (epoll_ctl(poll, EPOLL_CTL_ADD, it->fd, &event)) fail("epoll");
    ask(it, "/onvif/events_service",
        "<e:CreatePullPointSubscription xmlns:e=\"http://www.onvif.org/ver10/events/wsdl\"><e:InitialTerminationTime>PT10M"
        "</e:InitialTerminationTime></e:CreatePullPointSubscription>");
    return it;
}

static int by_size(const void *one, const void *two) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)two;
    return (a > b) - (a < b);
}

static void report(struct pull_point **all, int count) {
    for (int number = 0; number < count; number++) printf("%llu ", (unsigned long long)all[number]->last);
    qsort(ages, age_count, sizeof *ages, by_size);
    printf("\n%llu %llu %llu %llu %u %u %u\n", (unsigned long long)came, (unsigned long long)missing,
        (unsigned long long)again, (unsigned long long)bad, age_count ? ages[age_count / 2] : 0,
        age_count ? ages[age_count * 99 / 100] : 0, age_count ? ages[age_count - 1] : 0);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "subscribers FIRST_PORT CAMERAS SUBSCRIBERS PASSWORD\n"), 2;
    int first = atoi(argv[1]), cameras = atoi(argv[2]), count = cameras * atoi(argv[3]), poll = epoll_create1(0), told = 0;
    int begun = 0, said = STDIN_FILENO;
    struct pull_point **all = calloc(count, sizeof *all);
    struct epoll_event word = {.events = EPOLLIN, .data.ptr = &said};
    password = argv[4];
    ages = malloc(AGES_MAX * sizeof *ages);
    if (!all || !ages || strlen(password) > 64 || epoll_ctl(poll, EPOLL_CTL_ADD, said, &word)) fail("the start");
    for (;;) {
        struct epoll_event events[EVENTS];
        /* So many at a time begin, as clients do that are patient. */
        for (; begun < count && begun - subscribed < 32; begun++)
            all[begun] = connected(poll, first + begun % cameras, begun / cameras, begun % cameras);
        if (!told && subscribed == count) told = 1, puts("subscribed"), fflush(stdout);
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int number = 0; number < ready; number++) {
            void *what = events[number].data.ptr;
            char text[64];
            if (what != &said) {
                if (!hear(what)) fail("the gateway hung up");
            } else if (read(said, text, sizeof text) <= 0)
                return 0;
            else if (text[0] == 'w')
                came = missing = again = bad = age_count = 0;
            else
                report(all, count);
        }
    }
}
