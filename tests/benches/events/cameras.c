/* Cameras of the events benchmark: `cameras PORT CAMERAS EVENTS_PER_SECOND`.
 *
 * Camera number N answers at 127.9.(N / 250).(N % 250 + 1). Each speaks as much ONVIF as it takes to be subscribed to by
 * pull point, without a login, and lets whoever pulls wait until something happens. From its first subscription on motion
 * is seen or over so many times a second, the cameras in turn; each event carries its number and the microsecond it was
 * made at. At `stop` on standard input nothing happens any more, and two lines are told: the number of the last event of
 * each camera, and how late events were made (p99, in microseconds) and how many were lost because nobody asked for them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 16384, ANSWER_MAX = 65536, WAITING_MAX = 64, EVENTS = 256, LEASE_SECONDS = 120, LATE_MAX = 1 << 20 };

struct connection {
    int fd, length, camera;
    char request[REQUEST_MAX];
};

struct camera {
    struct connection *pulls; /* who waits for something to happen */
    int subscribed, synchronized, waiting;
    uint64_t last, until, made[WAITING_MAX];
};

static struct camera *cameras;
static int camera_count, port, stopped;
static uint64_t lost;
static uint32_t late[LATE_MAX];
static size_t late_count;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void put_time(char *to, uint64_t us) {
    time_t seconds = us / 1000000;
    struct tm tm;
    char whole[32];
    gmtime_r(&seconds, &tm);
    strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &tm);
    sprintf(to, "%s.%06uZ", whole, (unsigned)(us % 1000000));
}

static void host(char *to, int number) { sprintf(to, "127.9.%d.%d", number / 250, number % 250 + 1); }

static void reply(struct connection *to, int status, const char *body) {
    static char text[ANSWER_MAX + 1024];
    char head[128];
    size_t length = sprintf(text,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\""
        " xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" xmlns:tev=\"http://www.onvif.org/ver10/events/wsdl\""
        " xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:wsa=\"http://www.w3.org/2005/08/addressing\""
        " xmlns:tns1=\"http://www.onvif.org/ver10/topics\" xmlns:ter=\"http://www.onvif.org/ver10/error\""
        " xmlns:tt=\"http://www.onvif.org/ver10/schema\"><s:Body>%s</s:Body></s:Envelope>", body);
    size_t before = sprintf(head,
        "HTTP/1.1 %d OK\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: %zu\r\n\r\n", status, length);
    struct iovec parts[] = {{head, before}, {text, length}};
    /* Answers are small: what does not go at once goes to nobody who reads. */
    if (writev(to->fd, parts, 2) != (ssize_t)(before + length)) shutdown(to->fd, SHUT_RDWR);
}

/* The times of an answer about a subscription. */
static int put_times(char *to, const char *prefix, struct camera *it) {
    char current[40], until[40];
    put_time(current, now_us()), put_time(until, it->until);
    return sprintf(to, "<%s:CurrentTime>%s</%s:CurrentTime><%s:TerminationTime>%s</%s:TerminationTime>", prefix, current,
        prefix, prefix, until, prefix);
}

static int put_event(char *to, const char *operation, uint64_t number, uint64_t made) {
    char utc[40];
    put_time(utc, made);
    return sprintf(to,
        "<wsnt:NotificationMessage><wsnt:Topic Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">"
        "tns1:VideoSource/MotionAlarm</wsnt:Topic><wsnt:Message><tt:Message UtcTime=\"%s\" PropertyOperation=\"%s\">"
        "<tt:Source><tt:SimpleItem Name=\"Source\" Value=\"VideoSource_1\"/></tt:Source><tt:Data>"
        "<tt:SimpleItem Name=\"State\" Value=\"%s\"/><tt:SimpleItem Name=\"Number\" Value=\"%llu\"/>"
        "<tt:SimpleItem Name=\"Made\" Value=\"%llu\"/></tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>",
        utc, operation, number % 2 ? "true" : "false", (unsigned long long)number, (unsigned long long)made);
}

/* Answers who waits, if there is something to tell. */
static void tell(struct camera *it) {
    if (!it->pulls || (!it->waiting && it->synchronized)) return;
    static char body[ANSWER_MAX];
    int length = sprintf(body, "<tev:PullMessagesResponse>");
    length += put_times(body + length, "tev", it);
    if (!it->synchronized) length += put_event(body + length, "Initialized", it->last - it->waiting, now_us());
    it->synchronized = 1;
    for (int number = 0; number < it->waiting; number++)
        length += put_event(body + length, "Changed", it->last - it->waiting + number + 1, it->made[number]);
    sprintf(body + length, "</tev:PullMessagesResponse>");
    it->waiting = 0;
    reply(it->pulls, 200, body);
    it->pulls = NULL;
}

static void happens(struct camera *it, uint64_t due) {
    uint64_t now = now_us();
    if (late_count < LATE_MAX) late[late_count++] = now > due ? now - due : 0;
    if (it->waiting == WAITING_MAX) {
        memmove(it->made, it->made + 1, sizeof it->made - sizeof *it->made);
        it->waiting--, lost++;
    }
    it->last++;
    it->made[it->waiting++] = now;
    tell(it);
}

static void answer(struct connection *from, const char *request) {
    struct camera *it = cameras + from->camera;
    char body[4096], at[64], name[32];
    int length;
    host(name, from->camera);
    sprintf(at, "http://%s:%d/onvif/", name, port);
    if (strstr(request, "CreatePullPointSubscription")) {
        it->subscribed = 1, it->synchronized = it->waiting = 0, it->pulls = NULL;
        it->until = now_us() + LEASE_SECONDS * 1000000ull;
        length = sprintf(body, "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa:Address>%spull"
                               "</wsa:Address></tev:SubscriptionReference>", at);
        length += put_times(body + length, "wsnt", it);
        sprintf(body + length, "</tev:CreatePullPointSubscriptionResponse>");
    } else if (strstr(request, "PullMessages")) {
        it->pulls = from;
        tell(it);
        return;
    } else if (strstr(request, "SetSynchronizationPoint")) {
        it->synchronized = 0;
        sprintf(body, "<tev:SetSynchronizationPointResponse/>");
    } else if (strstr(request, "Unsubscribe")) {
        it->subscribed = 0;
        sprintf(body, "<wsnt:UnsubscribeResponse/>");
    } else if (strstr(request, "Renew")) {
        it->until = now_us() + LEASE_SECONDS * 1000000ull;
        char now[40], until[40];
        put_time(now, now_us()), put_time(until, it->until);
        sprintf(body, "<wsnt:RenewResponse><wsnt:TerminationTime>%s</wsnt:TerminationTime><wsnt:CurrentTime>%s"
                      "</wsnt:CurrentTime></wsnt:RenewResponse>", until, now);
    } else if (strstr(request, "GetServices")) {
        static const char *const listed[] = {"device", "device_service", "events", "events"};
        length = sprintf(body, "<tds:GetServicesResponse>");
        for (int number = 0; number < 4; number += 2)
            length += sprintf(body + length,
                "<tds:Service><tds:Namespace>http://www.onvif.org/ver10/%s/wsdl</tds:Namespace><tds:XAddr>%s%s</tds:XAddr>"
                "<tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service>",
                listed[number], at, listed[number + 1]);
        sprintf(body + length, "</tds:GetServicesResponse>");
    } else if (strstr(request, "GetDeviceInformation")) {
        sprintf(body, "<tds:GetDeviceInformationResponse><tds:Manufacturer>AXIS</tds:Manufacturer><tds:Model>stand-in"
                      "</tds:Model><tds:FirmwareVersion>1.0</tds:FirmwareVersion><tds:SerialNumber>%d</tds:SerialNumber>"
                      "<tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>", from->camera);
    } else if (strstr(request, "GetScopes")) {
        sprintf(body, "<tds:GetScopesResponse><tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>"
                      "onvif://www.onvif.org/type/video_encoder</tt:ScopeItem></tds:Scopes></tds:GetScopesResponse>");
    } else {
        reply(from, 400, "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>ter:ActionNotSupported"
                         "</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"en\">no such thing</s:Text></s:Reason>"
                         "</s:Fault>");
        return;
    }
    reply(from, 200, body);
}

/* Reads requests; 0 if whoever asked is gone. */
static int hear(struct connection *it) {
    ssize_t n = recv(it->fd, it->request + it->length, REQUEST_MAX - 1 - it->length, MSG_DONTWAIT);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    it->length += n;
    for (;;) {
        it->request[it->length] = 0;
        char *end = strstr(it->request, "\r\n\r\n"), *said = strcasestr(it->request, "\r\ncontent-length:");
        if (!end) return it->length < REQUEST_MAX - 1;
        int whole = end + 4 - it->request + (said && said < end ? atoi(said + 17) : 0);
        if (whole > it->length) return whole < REQUEST_MAX;
        char after = it->request[whole];
        it->request[whole] = 0;
        answer(it, it->request);
        it->request[whole] = after;
        memmove(it->request, it->request + whole, it->length - whole);
        it->length -= whole;
    }
}

static void add(int poll, int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) fail("epoll");
}

static void welcome(int poll, int listener) {
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    getsockname(fd, (struct sockaddr *)&own, &size);
    uint32_t at = ntohl(own.sin_addr.s_addr);
    int number = (at >> 8 & 255) * 250 + (int)(at & 255) - 1;
    struct connection *it = calloc(1, sizeof *it);
    if (!it || number < 0 || number >= camera_count) {
        free(it);
        close(fd);
        return;
    }
    it->fd = fd, it->camera = number;
    add(poll, fd, it);
}

static int by_size(const void *one, const void *two) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)two;
    return (a > b) - (a < b);
}

static void report(void) {
    for (int number = 0; number < camera_count; number++) printf("%llu ", (unsigned long long)cameras[number].last);
    qsort(late, late_count, sizeof *late, by_size);
    printf("\n%u %llu\n", late_count ? late[late_count * 99 / 100] : 0, (unsigned long long)lost);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "cameras PORT CAMERAS EVENTS_PER_SECOND\n"), 2;
    port = atoi(argv[1]), camera_count = atoi(argv[2]);
    cameras = calloc(camera_count, sizeof *cameras);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, poll = epoll_create1(0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    signal(SIGPIPE, SIG_IGN);
    if (!cameras || bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 4096)) fail("the port");
    int timer = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), said = STDIN_FILENO;
    /* Cameras take turns, so that one event follows the other evenly. */
    double apart = 1e6 / camera_count / atof(argv[3]);
    uint64_t began = now_us(), turn = 0;
    long tick = apart < 1000 ? 1000000 : apart * 1000;
    struct itimerspec every = {.it_interval = {tick / 1000000000, tick % 1000000000}, .it_value = {0, 1}};
    timerfd_settime(timer, 0, &every, NULL);
    add(poll, listener, &listener), add(poll, timer, &timer), add(poll, said, &said);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int number = 0; number < count; number++) {
            void *what = events[number].data.ptr;
            uint64_t ticks;
            char word[64];
            if (what == &listener) welcome(poll, listener);
            else if (what == &timer) {
                if (read(timer, &ticks, sizeof ticks) < 0) continue;
                for (uint64_t due; (due = began + turn * apart) <= now_us(); turn++) {
                    struct camera *it = cameras + turn % camera_count;
                    if (it->subscribed && !stopped) happens(it, due);
                }
            } else if (what == &said) {
                ssize_t length = read(said, word, sizeof word);
                if (length <= 0) return 0;
                stopped = 1;
                report();
            } else {
                struct connection *it = what;
                if (hear(it)) continue;
                if (cameras[it->camera].pulls == it) cameras[it->camera].pulls = NULL;
                close(it->fd);
                free(it);
            }
        }
    }
}
