// Clients of the pairing dialect, on epoll in one thread. They cost a fraction of what a server does, so that a server on
// another core is what limits the rate. pairing.py compiles, starts and reads this, and says what the figures mean.
//
// A pairing lasts from the first client's connect until both have both addresses. Its place is taken by the next one
// (closed loop), so `in_flight` pairings, of two connections each, are always under way. Three crowds may be there as
// well. Silent clients say nothing, and come again when the server drops them. Slow clients keep a pause between connecting
// and saying their name. Bytewise clients say it byte by byte, with a pause before each, and the second of a pair begins
// when the first has ended. Their answers are checked, but not counted.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

enum Kind { PROMPT, SLOW, BYTEWISE, SILENT };

constexpr int RECORD = 8, ADDRESS = 6, ANSWER = 2 * RECORD, FAULTS_TOLD = 3, EVENTS = 1024;

struct Client {
    int fd = -1, pair = -1;  // -1: a silent one's
    uint32_t born = 0;       // so that an event of a former client with the same descriptor is told from one of this
    bool unspoken = false;   // its name waits until the connection stands
    int got = 0;
    size_t said = 0;         // bytes of its name
    double began = 0;
    uint8_t answer[ANSWER + 1] = {};
};

struct Pair {
    Kind kind = PROMPT;
    std::string name;
    double began = 0;
    int client[2] = {-1, -1};  // descriptors
    int answered = 0;
    bool over = true;
    uint8_t answer[2][ANSWER] = {}, own[2][ADDRESS] = {};
};

struct Pause {
    double until;
    int fd;
    uint32_t born;
};

static sockaddr_in server;
static std::string label;
static int in_flight, silent, slow, bytewise, epoll_fd;
static long pairings, started, finished, slow_finished, bytewise_finished, silent_again, fault_count, names;
static double round_s, stall_s, short_life_s, pause_s, lead_s, close_s, last_finish;
static bool stopping, local, checked;
static std::vector<Client> clients;  // by descriptor
static std::vector<Pair> pairs;
static std::deque<Pause> pauses;  // soonest first
static std::vector<int> vacant;   // places of pairs that are over
static std::vector<double> latencies;
static std::vector<std::string> faults;
static uint32_t births;

static double now() {
    timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + 1e-9 * at.tv_nsec;
}

static std::string hex(const uint8_t* bytes, int size) {
    std::string text;
    char two[3];
    for (int at = 0; at < size; at++) snprintf(two, sizeof two, "%02x", bytes[at]), text += two;
    return text;
}

static void fault(const std::string& what, long count = 1) {
    fault_count += count;
    if ((int)faults.size() < FAULTS_TOLD) faults.push_back(what);
}

static std::string text(const char* format, double number, const char* rest = "") {
    char line[200];
    snprintf(line, sizeof line, format, number, rest);
    return line;
}

static void end_client(int fd) {
    if (fd < 0 || clients[fd].fd < 0) return;
    close(fd);
    clients[fd].fd = -1;
}

static int open_client(int pair) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) perror("no socket"), exit(1);
    int one = 1;
    if (pair >= 0 && pairs[pair].kind == BYTEWISE) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (sockaddr*)&server, sizeof server) < 0 && errno != EINPROGRESS && errno != ECONNREFUSED)
        perror("no connection"), exit(1);
    if (fd >= (int)clients.size()) clients.resize(fd + 1);
    Client& client = clients[fd] = Client();
    client.fd = fd, client.pair = pair, client.born = ++births, client.began = now();
    epoll_event event{EPOLLIN, {.u64 = (uint64_t)client.born << 32 | (uint32_t)fd}};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

static void pause(int fd, double until) { pauses.push_back({until, fd, clients[fd].born}); }

static void finish(int number, const std::string& wrong) {  // both ends have their answers, or one has no hope
    Pair& pair = pairs[number];
    if (pair.over) return;
    pair.over = true;
    double at = now();
    if (!wrong.empty()) {
        fault(wrong);
        end_client(pair.client[0]), end_client(pair.client[1]);
    }
    if (pair.kind != PROMPT) {
        (pair.kind == SLOW ? slow_finished : bytewise_finished) += wrong.empty();
        if (wrong.empty()) vacant.push_back(number);
        return;
    }
    finished++;
    if (wrong.empty()) latencies.push_back(at - pair.began), last_finish = at;
    vacant.push_back(number);
}

static void want(Client& client, uint32_t events) {
    epoll_event event{events, {.u64 = (uint64_t)client.born << 32 | (uint32_t)client.fd}};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client.fd, &event);
}

static void speak(Client& client) {
    Pair& pair = pairs[client.pair];
    if (pair.over) return;
    size_t size = pair.kind == BYTEWISE ? 1 : pair.name.size();
    if (send(client.fd, pair.name.data() + client.said, size, MSG_NOSIGNAL) < 0) {
        if (errno != EAGAIN) return finish(client.pair, std::string("a client could not say its name: ") + strerror(errno));
        client.unspoken = true;
        return want(client, EPOLLIN | EPOLLOUT);
    }
    if (client.unspoken) client.unspoken = false, want(client, EPOLLIN);
    client.said += size;
    if (client.said < pair.name.size()) pause(client.fd, now() + pause_s);
    else if (pair.kind == BYTEWISE && client.fd == pair.client[0]) pause(pair.client[1], now() + pause_s);
}

static void start(int number, Kind kind, double first_pause_s) {
    Pair& pair = pairs[number];
    char name[120];
    // The first byte of a bytewise name is its place's own, or parts of two names would be the same name.
    if (kind == BYTEWISE) snprintf(name, sizeof name, "%c%07ld pair", 0x80 + number - in_flight - slow / 2, names++);
    else snprintf(name, sizeof name, "pair-%s-%ld", label.c_str(), names++);
    pair.kind = kind, pair.name = name, pair.began = now(), pair.answered = 0, pair.over = false;
    if (kind == PROMPT) started++;
    for (int end = 0; end < 2; end++) pair.client[end] = open_client(number);
    for (int end = 0; end < 2 && !pair.over; end++) {
        if (kind == PROMPT) speak(clients[pair.client[end]]);
        else if (kind == SLOW || end == 0) pause(pair.client[end], pair.began + first_pause_s);
    }
}

static void fill_vacant() {
    while (!vacant.empty()) {
        int number = vacant.back();
        vacant.pop_back();
        Kind kind = pairs[number].kind;
        if (kind == PROMPT ? started < pairings : !stopping) start(number, kind, kind == PROMPT ? 0 : pause_s);
    }
}

static void check(int number) {
    Pair& pair = pairs[number];
    bool right = true;
    for (int end = 0; checked && end < 2; end++) {
        const uint8_t *told = pair.answer[end], *partner = pair.answer[1 - end] + RECORD;
        right = right && !memcmp(told, partner, ADDRESS) && (!local || !memcmp(told, pair.own[end], ADDRESS));
    }
    if (right) return finish(number, "");
    finish(number, "=" + hex(pair.answer[0], ANSWER) + "," + hex(pair.answer[1], ANSWER) + "," +
                       (local ? hex(pair.own[0], ADDRESS) + "," + hex(pair.own[1], ADDRESS) : ","));
}

static void answered(Client& client) {
    Pair& pair = pairs[client.pair];
    int end = client.fd == pair.client[1];
    sockaddr_in own;
    socklen_t size = sizeof own;
    getsockname(client.fd, (sockaddr*)&own, &size);
    memcpy(pair.own[end], &own.sin_addr, 4), memcpy(pair.own[end] + 4, &own.sin_port, 2);
    memcpy(pair.answer[end], client.answer, ANSWER);
    if (++pair.answered == 2) check(client.pair);
}

static void ended(Client& client, const char* how) {
    int got = client.got, number = client.pair;
    double began = client.began;
    end_client(client.fd);
    if (number < 0) {
        if (now() - began < short_life_s) fault(text("a silent client did not last %g s: %s", short_life_s, how));
        else if (!stopping) silent_again++, open_client(-1);
    } else if (got < ANSWER) {
        finish(number, how + text(" after %g of 16 bytes", got));
    }
}

static void receive(Client& client) {
    ssize_t size = recv(client.fd, client.answer + client.got, sizeof client.answer - client.got, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return ended(client, size ? strerror(errno) : "closed by the server");
    client.got += size;
    if (client.pair < 0 || client.got > ANSWER) {
        fault(text(client.pair < 0 ? "%g bytes for a client that expected none"
                                   : "%g bytes for a client that expected 16", client.got));
        end_client(client.fd);
    } else if (client.got == ANSWER) {
        answered(client);
    }
}

template <typename Happened>
static void spin(Happened happened, double until) {  // serves the clients until something has happened, or until then
    static epoll_event events[EVENTS];
    while (!happened()) {
        fill_vacant();
        double at = now();
        while (!pauses.empty() && pauses.front().until <= at) {
            Pause over = pauses.front();
            pauses.pop_front();
            Client& client = clients[over.fd];
            if (client.fd >= 0 && client.born == over.born) speak(client);
        }
        if (at >= until) return;
        double wake_at = pauses.empty() || pauses.front().until > until ? until : pauses.front().until;
        int wait_ms = wake_at <= at ? 0 : (int)(1e3 * (wake_at - at)) + 1;
        int count = epoll_wait(epoll_fd, events, EVENTS, wait_ms);
        for (int at = 0; at < count; at++) {
            int fd = (int)(uint32_t)events[at].data.u64;
            if (clients[fd].fd < 0 || clients[fd].born != events[at].data.u64 >> 32) continue;
            if (events[at].events & EPOLLOUT && clients[fd].unspoken) speak(clients[fd]);
            else receive(clients[fd]);
        }
    }
}

static bool pair_up(double began) {  // until all have finished or, after round_s, those under way; false after a stall
    double end = began + round_s, progress = began;
    while (finished < pairings) {
        long done = finished;
        bool ending = now() >= end;
        if (ending) pairings = started;
        double stalled = progress + stall_s;
        spin([] { return finished >= pairings; }, ending || stalled < end ? stalled : end);
        if (finished > done) progress = now();
        else if (now() >= stalled) {
            char line[200];
            snprintf(line, sizeof line, "no pairing finished for %g s, after %ld of %ld", stall_s, done, pairings);
            fault(line);
            return false;
        }
    }
    return true;
}

static long paired_open() {
    long open = 0;
    for (const Client& client : clients) open += client.fd >= 0 && client.pair >= 0;
    return open;
}

static double cpu_s(clockid_t clock) {
    timespec used{};
    return clock_gettime(clock, &used) ? -1 : used.tv_sec + 1e-9 * used.tv_nsec;
}

int main(int argc, char** argv) {
    std::vector<std::string> given(argv + 1, argv + argc);
    auto take = [&given]() {
        if (given.empty()) fprintf(stderr, "arguments are missing\n"), exit(2);
        std::string first = given.front();
        given.erase(given.begin());
        return first;
    };
    server.sin_family = AF_INET;
    inet_pton(AF_INET, take().c_str(), &server.sin_addr);
    server.sin_port = htons(atoi(take().c_str()));
    int pid = atoi(take().c_str());
    label = take();
    in_flight = atoi(take().c_str()), pairings = atol(take().c_str());
    silent = atoi(take().c_str()), slow = atoi(take().c_str()), bytewise = atoi(take().c_str());
    round_s = atof(take().c_str()), stall_s = atof(take().c_str()), short_life_s = atof(take().c_str());
    pause_s = atof(take().c_str()), lead_s = atof(take().c_str()), close_s = atof(take().c_str());
    checked = atoi(take().c_str());
    local = (ntohl(server.sin_addr.s_addr) >> 24) == 127;
    rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    clockid_t clock = CLOCK_MONOTONIC;
    bool timed = pid && !clock_getcpuclockid(pid, &clock);
    epoll_fd = epoll_create1(0);
    clients.resize(4096);
    if (in_flight > pairings) in_flight = pairings;
    pairs.resize(in_flight + slow / 2 + bytewise / 2);

    for (int number = 0; number < silent; number++) open_client(-1);
    int crowd = slow / 2 + bytewise / 2;  // spread over a pause: in step they would be a burst
    for (int number = 0; number < crowd; number++)
        start(in_flight + number, number < slow / 2 ? SLOW : BYTEWISE, pause_s * (1 + (double)number / crowd));
    if (silent + crowd) spin([] { return false; }, now() + lead_s);
    long slow_before = slow_finished, bytewise_before = bytewise_finished;
    double cpu_before = timed ? cpu_s(clock) : -1, began = last_finish = now();
    for (int number = 0; number < in_flight; number++) start(number, PROMPT, 0);
    bool all = pair_up(began);
    double seconds = last_finish - began;
    long slow_served = slow_finished - slow_before, bytewise_served = bytewise_finished - bytewise_before;
    stopping = true;
    if (all) {
        spin([] { return paired_open() == 0; }, now() + close_s);
        if (long open = paired_open()) fault(text("the server left %g connections open for ", open) + text("%g s", close_s), open);
    }
    double cpu_after = timed ? cpu_s(clock) : -1;
    printf("%.9f %.9f %ld %ld %ld %ld\n", seconds, cpu_before < 0 || cpu_after < 0 ? -1 : cpu_after - cpu_before,
           slow_served, bytewise_served, silent_again, fault_count);
    if (all) for (double latency : latencies) printf("%.1f ", 1e6 * latency);
    printf("\n");
    for (const std::string& told : faults) printf("%s\n", told.c_str());
    return 0;
}
