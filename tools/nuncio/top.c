/* `nuncio top`: asks the admin of a running process for /overview again and again, and draws it.
 * Plain ANSI on the alternate screen; without a terminal one picture. Blocking; nothing of the
 * proxy runs here. */
#include "tools/nuncio/top.h"

#include "core/assert.h"
#include "tools/nuncio/admin_client.h"
#include "tools/nuncio/command.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX     (64u << 20) /* bytes: 100,000 clusters are less */
#define SECONDS_MIN    0.05
#define SECONDS_MAX    3600.0
#define SNAPSHOT_WIDTH 132 /* columns where there is no terminal */

/* An answer and what was read out of it. */
struct answer {
    struct nu_arena *arena; /* NULL: there is none */
    const struct nu_json *root;
};

struct top {
    const char *address;
    double seconds;
    bool once, terminal;
    struct top_screen screen;
    struct answer now, before;
    char lost[NU_ADMIN_SAY_MAX];
};

static volatile sig_atomic_t ended; /* by a signal */

static void end_by_signal(int number)
{
    ended = 1;
}

/* A window of another size interrupts the wait, no more. */
static void wake(int number)
{
}

/* --- asking --- */

struct body {
    char *data;
    size_t len, cap;
};

static void take(void *ctx, const void *bytes, size_t len)
{
    struct body *body = ctx;
    if (body->len + len > ANSWER_MAX)
        return;
    if (body->len + len > body->cap) {
        body->cap = 2 * (body->len + len);
        body->data = realloc(body->data, body->cap);
        nu_assert(body->data != NULL);
    }
    memcpy(body->data + body->len, bytes, len);
    body->len += len;
}

static void answer_free(struct answer *answer)
{
    nu_arena_free(answer->arena);
    *answer = (struct answer){NULL, NULL};
}

/* Keeps the answer before and takes the next; false: `lost` says why there is none. */
static bool ask(struct top *top)
{
    struct body body = {0};
    unsigned status = nu_admin_ask(top->address, "GET", "/overview", take, &body, top->lost);
    struct answer next = {nu_arena_new(65536), NULL};
    if (status == 200)
        next.root = nu_json_read(next.arena, body.data ? body.data : "", body.len);
    free(body.data);
    if (!next.root) {
        if (status)
            snprintf(top->lost, sizeof top->lost, "an answer that is no overview: status %u",
                     status);
        answer_free(&next);
        return false;
    }
    answer_free(&top->before);
    top->before = top->now;
    top->now = next;
    top->lost[0] = 0;
    return true;
}

/* --- drawing --- */

static void measure(struct top *top)
{
    struct winsize size;
    top->screen.rows = top->terminal ? 24 : 0;
    top->screen.columns = top->terminal ? 80 : SNAPSHOT_WIDTH;
    if (top->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col &&
        size.ws_row) {
        top->screen.rows = size.ws_row;
        top->screen.columns = size.ws_col;
    }
}

static void show(struct top *top)
{
    struct top_view view;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct nu_arena *scratch = nu_arena_new(65536);
    nu_assert(out != NULL);
    measure(top);
    top->screen.lost = top->lost[0] ? top->lost : NULL;
    top_view_make(&view, scratch, top->now.root, top->before.root);
    fputs(top->terminal ? "\033[H" : "", out);
    top_draw(out, &top->screen, &view, top->before.root);
    fputs(top->terminal ? "\033[J" : "", out);
    nu_assert(fclose(out) == 0);
    fwrite(text, 1, len, stdout);
    fflush(stdout);
    free(text);
    nu_arena_free(scratch);
}

/* --- the terminal --- */

static struct termios cooked;
static bool is_raw;

static void terminal_begin(void)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &cooked) == 0) {
        raw = cooked;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
}

static void terminal_end(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
}

static void scroll(struct top *top, long rows)
{
    size_t first = top->screen.first;
    top->screen.first = rows < 0 && first < (size_t)-rows ? 0 : first + (size_t)rows;
}

/* False: enough. Arrows are ESC [ A and B. */
static bool obey(struct top *top)
{
    char keys[64];
    long page = top->screen.rows / 2;
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0)
        return n < 0;
    for (ssize_t i = 0; i < n; i++) {
        bool arrow = i >= 2 && keys[i - 2] == '\033' && keys[i - 1] == '[';
        if (keys[i] == 'q' || keys[i] == 'Q')
            return false;
        if (keys[i] == 'j' || (arrow && keys[i] == 'B'))
            scroll(top, 1);
        else if (keys[i] == 'k' || (arrow && keys[i] == 'A'))
            scroll(top, -1);
        else if (keys[i] == ' ' || (arrow && keys[i] == '6'))
            scroll(top, page);
        else if (keys[i] == 'b' || (arrow && keys[i] == '5'))
            scroll(top, -page);
    }
    show(top);
    return true;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the next answer is due; false: enough. */
static bool wait_for(struct top *top)
{
    int64_t due_ms = now_ms() + (int64_t)(top->seconds * 1000), left_ms;
    while (!ended && (left_ms = due_ms - now_ms()) > 0) {
        struct pollfd keys = {.fd = top->terminal ? STDIN_FILENO : -1, .events = POLLIN};
        int n = poll(&keys, 1, (int)left_ms);
        if (n > 0 && !obey(top))
            return false;
        if (n < 0 && !ended)
            show(top);
    }
    return !ended;
}

static void watch(struct top *top)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaction(ends[i], &(struct sigaction){.sa_handler = end_by_signal}, NULL);
    sigaction(SIGWINCH, &(struct sigaction){.sa_handler = wake}, NULL);
    terminal_begin();
    do {
        show(top);
        if (!wait_for(top))
            break;
        ask(top);
    } while (!ended);
    terminal_end();
}

static enum nu_exit run(struct top *top)
{
    const char *no_color = getenv("NO_COLOR");
    top->terminal = !top->once && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    top->screen.color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    bool good = ask(top);
    if (good && top->terminal) {
        watch(top);
    } else if (good) {
        good = wait_for(top) && ask(top);
        if (good)
            show(top);
    }
    if (!good && !ended)
        fprintf(stderr, "nuncio top: %s\n", top->lost);
    answer_free(&top->now);
    answer_free(&top->before);
    return good ? NU_EXIT_OK : NU_EXIT_FAILED;
}

/* --- the command --- */

static enum nu_exit run_at(struct top *top, const char *path)
{
    char *say = NULL, *address = path ? nu_admin_address_of(path, &say) : NULL;
    enum nu_exit code = NU_EXIT_FAILED;
    if (path && !address) {
        fputs(say, stderr);
    } else {
        top->address = path ? address : top->address;
        code = run(top);
    }
    free(address);
    free(say);
    return code;
}

static enum nu_exit take_option(struct nu_args *args, int id, struct top *top, const char **path)
{
    char *end;
    if (id == NU_ARG_OPERAND)
        return nu_usage_error(args, "what is \"%s\"?", args->value);
    if (id == 'c')
        *path = args->value;
    else if (id == 's')
        top->address = args->value;
    else if (id == 'n')
        top->once = true;
    else {
        top->seconds = strtod(args->value, &end);
        if (*end || !isfinite(top->seconds) || top->seconds < SECONDS_MIN ||
            top->seconds > SECONDS_MAX)
            return nu_usage_error(args, "\"%s\" is no number of seconds from 0.05 to 3600",
                                  args->value);
    }
    return NU_EXIT_OK;
}

static enum nu_exit run_top(struct nu_args *args)
{
    struct top top = {.seconds = 1};
    const char *path = NULL;
    for (int id; (id = nu_args_next(args)) != NU_ARG_END;) {
        if (id == NU_ARG_LEAVE)
            return args->leave;
        if (take_option(args, id, &top, &path) != NU_EXIT_OK)
            return NU_EXIT_USAGE;
    }
    if (!top.address == !path)
        return nu_usage_error(args, "whom to ask? Either -c FILE or -s ADDRESS");
    return run_at(&top, path);
}

static const struct nu_option options[] = {
    {"config",                                                 "FILE", 'c', "the config of the running one: its key `admin` says where"},
    {"socket",                                                     "ADDRESS", 's', "where its admin listens: unix:/path or 127.0.0.1:9901"},
    {"delay",                                                        "SECONDS", 'd', "time between two looks, 0.05 to 3600; by default 1"},
    {"once",NULL, 'n', "one picture of that time, as without a terminal"},
    {0}
};

const struct nu_command nu_command_top = {
    .name = "top",
    .summary = "watch a running nuncio in a terminal",
    .usage = "top -c FILE [-d SECONDS] [-n]\ntop -s ADDRESS [-d SECONDS] [-n]",
    .help = "Keys: q ends, arrows and space scroll the clusters; those in trouble stand first.\n",
    .options = options,
    .run = run_top,
};
