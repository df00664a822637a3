/* STARTTLS for Postgres in both roles, at every cut; in the place of TLS stands a probe. */
#include "tls/starttls_priv.h"

#include "tests/unit/core/chain_kit.h"

#define SSL_REQUEST "\0\0\0\x08\x04\xd2\x16\x2f"
#define GSS_REQUEST "\0\0\0\x08\x04\xd2\x16\x30"
#define CANCEL      "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"
#define STARTUP     "\0\0\0\x11\0\3\0\0user\0me\0\0"
#define HELLO       "\x16\3\1\0\1x"

/* All that came out of the far ends. */
static struct {
    char left[600], right[600];
    size_t left_len, right_len;
} got;

static void gather(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool at_left = f->next[NU_REV] == NULL;
    if (ev->kind == NU_DATA && at_left == (dir == NU_REV)) {
        char *to = at_left ? got.left : got.right;
        size_t *len = at_left ? &got.left_len : &got.right_len;
        memcpy(to + *len, ev->u.data.data, ev->u.data.len);
        *len += ev->u.data.len;
    }
    nu_forward(f, dir, ev);
}

static struct starttls_conf conf;

/* a | starttls | c, and b where TLS goes. */
static void make(const struct nu_filter_type *type, bool optional)
{
    memset(&got, 0, sizeof got);
    kit->a[0].event = kit->a[2].event = gather;
    conf = (struct starttls_conf){
        {&nu_probe, &kit->a[1]},
        1000, optional
    };
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {type,            &conf     },
        {&nu_probe_right, &kit->a[2]}
    };
    kit_places(places, 3);
}

static void say(struct nu_filter *f, enum nu_dir dir, const char *bytes, size_t len)
{
    struct nu_ev ev = nu_ev_data(nu_slice_copy(kit->loop.blocks, bytes, len));
    nu_chain_enter(f->chain);
    nu_forward(f, dir, &ev);
    nu_chain_leave(f->chain);
}

/* The client says it in pieces: cut at that place, or byte by byte (0). */
static void client_says(const char *bytes, size_t len, size_t cut)
{
    struct nu_filter *f = kit->a[0].self;
    for (size_t at = 0, n; at < len && kit->chain && !nu_chain_ended(kit->chain); at += n) {
        n = cut == 0 ? 1 : at < cut && cut < len ? cut : len - at;
        say(f, NU_FWD, bytes + at, n);
    }
}

static void expect(const char *side, size_t len, const char *bytes, size_t wanted)
{
    assert_int_equal(len, wanted);
    assert_memory_equal(side, bytes, wanted);
}
#define LEFT(text)  expect(got.left, got.left_len, text, sizeof(text) - 1)
#define RIGHT(text) expect(got.right, got.right_len, text, sizeof(text) - 1)

static bool has_tls(void)
{
    return kit->a[1].self != NULL;
}

static void end_of_round(void)
{
    if (kit->chain)
        nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
}

static void a_request_is_answered_and_tls_follows(void **state)
{
    for (size_t cut = 0; cut <= 8; cut++) {
        make(&starttls_server, false);
        client_says(SSL_REQUEST, 8, cut);
        LEFT("S");
        RIGHT("");
        assert_true(has_tls());
        client_says(HELLO, 6, 0);
        RIGHT(HELLO);
        assert_non_null(strstr(nu_diary_read(&kit->diary), "b>x"));
        end_of_round();
    }
}

static void gssapi_is_declined_once(void **state)
{
    for (size_t cut = 0; cut <= 16; cut++) {
        make(&starttls_server, false);
        client_says(GSS_REQUEST SSL_REQUEST, 16, cut);
        LEFT("NS");
        assert_true(has_tls());
        end_of_round();
        make(&starttls_server, false);
        client_says(GSS_REQUEST GSS_REQUEST, 16, cut);
        nu_loop_settle(&kit->loop);
        assert_int_equal(kit->result.cause, NU_CAUSE_BAD_STARTTLS);
        assert_string_equal(kit->details, "a second GSSENCRequest");
    }
}

/* CVE-2021-23222: they would be taken for what came encrypted. */
static void bytes_behind_the_request_are_an_injection(void **state)
{
    static const char sent[] = SSL_REQUEST HELLO;
    for (size_t n = 9; n < sizeof sent - 1; n++) {
        make(&starttls_server, true);
        client_says(sent, n, n);
        RIGHT("");
        assert_false(has_tls());
        nu_loop_settle(&kit->loop);
        assert_int_equal(kit->result.cause, NU_CAUSE_BAD_STARTTLS);
        assert_int_equal(kit->result.side, NU_SIDE_CLIENT);
        assert_string_equal(kit->details, "bytes behind the SSLRequest");
    }
}

static void tls_at_once_is_fine(void **state)
{
    for (size_t cut = 0; cut <= 6; cut++) {
        make(&starttls_server, false);
        client_says(HELLO, 6, cut);
        LEFT("");
        RIGHT(HELLO);
        assert_true(has_tls());
        end_of_round();
    }
}

static void a_cancel_request_passes_in_plain(void **state)
{
    for (size_t cut = 0; cut <= 16; cut++) {
        make(&starttls_server, false);
        client_says(CANCEL, 16, cut);
        RIGHT(CANCEL);
        assert_false(has_tls());
        end_of_round();
    }
}

static void plain_clients_are_told_or_served(void **state)
{
    for (size_t cut = 0; cut <= 17; cut++) {
        make(&starttls_server, true);
        client_says(STARTUP "more", 21, cut);
        RIGHT(STARTUP "more");
        assert_false(has_tls());
        end_of_round();
        make(&starttls_server, false);
        client_says(STARTUP, 17, cut);
        RIGHT("");
        assert_memory_equal(got.left, "E\0\0\0", 4);
        assert_non_null(strstr(nu_diary_read(&kit->diary), "a<end:clean"));
        client_says("more", 4, 4);
        nu_loop_advance(&kit->loop, cut % 2 ? 999 : 0);
        assert_non_null(kit->chain);
        if (cut % 2)
            nu_loop_advance(&kit->loop, 1);
        else
            nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
        nu_loop_settle(&kit->loop);
        assert_int_equal(kit->result.cause, NU_CAUSE_BAD_STARTTLS);
        assert_string_equal(kit->details, "the client does not ask for TLS");
    }
}

static void what_is_no_postgres_is_refused(void **state)
{
    make(&starttls_server, true);
    client_says("GET / HTTP/1.1", 14, 14);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.cause, NU_CAUSE_BAD_STARTTLS);
    assert_string_equal(kit->blamed, "starttls");
    RIGHT("");
}

static void a_silent_client_times_out(void **state)
{
    make(&starttls_server, false);
    client_says(SSL_REQUEST, 7, 7);
    nu_loop_advance(&kit->loop, 999);
    assert_non_null(kit->chain);
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_STARTTLS_TIMEOUT);
    make(&starttls_server, false);
    client_says(SSL_REQUEST, 8, 8);
    nu_loop_advance(&kit->loop, 2000);
    assert_non_null(kit->chain); /* from here on it is TLS' own clock */
}

static void a_client_may_leave_before_it_speaks(void **state)
{
    make(&starttls_server, false);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    assert_non_null(strstr(nu_diary_read(&kit->diary), "c>end:clean"));
    end_of_round();
    make(&starttls_server, false);
    client_says(SSL_REQUEST, 5, 5);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_loop_settle(&kit->loop);
    assert_string_equal(kit->details, "the client left within its start packet");
}

/* What a server says before the decision waits; behind a hold ahead the request is read all the
 * same. */
static void the_server_s_side_waits(void **state)
{
    make(&starttls_server, false);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    say(kit->a[2].self, NU_REV, "early", 5);
    LEFT("");
    assert_false(nu_blocked(kit->a[0].self, NU_FWD));
    client_says(SSL_REQUEST, 8, 8);
    LEFT("Searly");
}

/* --- originating --- */

/* TLS is there from the beginning and says something at once. */
static void tls_speaks_first(struct nu_filter *f)
{
    nu_forward_data(f, NU_FWD, nu_slice_copy(kit->loop.blocks, HELLO, 6));
}

static void make_client(void)
{
    kit->a[1].start = tls_speaks_first;
    make(&starttls_client, false);
    assert_true(has_tls());
    RIGHT(SSL_REQUEST);
}

static void the_server_agrees(void **state)
{
    make_client();
    say(kit->a[0].self, NU_FWD, "plain", 5);
    RIGHT(SSL_REQUEST);
    say(kit->a[2].self, NU_REV, "S", 1);
    RIGHT(SSL_REQUEST HELLO "plain");
    LEFT("");
    say(kit->a[2].self, NU_REV, "answer", 6);
    LEFT("answer");
}

static const struct {
    const char *said;
    size_t len;
    const char *details;
} answers[] = {
    {"N",               1, "the server does not speak TLS"                      },
    {"Eerror\0\0",      8, "no answer to the SSLRequest that Postgres has"      },
    {"\x15\3\3",        3, "no answer to the SSLRequest that Postgres has"      },
    {"S\x16",           2, "bytes behind the answer to the SSLRequest"          },
    {"SZ\0\0\0\5I....", 7, "bytes behind the answer to the SSLRequest"          },
    {NULL,              0, "the server left without an answer to the SSLRequest"},
};

static void the_server_does_not(void **state)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        make_client();
        if (answers[i].said)
            say(kit->a[2].self, NU_REV, answers[i].said, answers[i].len);
        else
            nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
        nu_loop_settle(&kit->loop);
        assert_int_equal(kit->result.cause, NU_CAUSE_STARTTLS_REFUSED);
        assert_int_equal(kit->result.side, NU_SIDE_UPSTREAM);
        assert_string_equal(kit->details, answers[i].details);
        LEFT("");
        RIGHT(SSL_REQUEST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(a_request_is_answered_and_tls_follows),
        KIT_TEST(gssapi_is_declined_once),
        KIT_TEST(bytes_behind_the_request_are_an_injection),
        KIT_TEST(tls_at_once_is_fine),
        KIT_TEST(a_cancel_request_passes_in_plain),
        KIT_TEST(plain_clients_are_told_or_served),
        KIT_TEST(what_is_no_postgres_is_refused),
        KIT_TEST(a_silent_client_times_out),
        KIT_TEST(a_client_may_leave_before_it_speaks),
        KIT_TEST(the_server_s_side_waits),
        KIT_TEST(the_server_agrees),
        KIT_TEST(the_server_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
