/* The reader of WebSocket: messages however they are cut, fragmented and compressed, and what is
 * left of them behind gaps. */
#include "protocols/coding/coder.h"
#include "protocols/http/head.h"
#include "tests/unit/tools/tap/layer_kit.h"
#include "tools/tap/layer_ws.h"

#include "core/arena.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define WHOLE 32u /* only as it is: frames are found again at a segment's beginning */

struct row {
    const char *name;
    const char *extensions; /* of the handshake's response */
    struct kit_step steps[KIT_STEPS];
    const char *diary;
    unsigned how; /* enum nu_flow_end, and perhaps WHOLE */
};

static const struct row rows[] = {
    {"text, binary, controls",
     "",                                                                         {UP("\201\205\001\002\003\004igohn\202\200\001\002\003\004"),
      DOWN("\211\002pi\201~"
           "\000\310xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
      UP("\212\202\001\002\003\004qk"), DOWN("\210\005\003\351bye"),
      UP("\210\200\001\002\003\004")},
     "ws #9 -> 1 5 'hello'\n"
     "ws #9 -> 2 0 ''\n"
     "ws #9 <- 9 2 'pi'\n"
     "ws #9 <- 1 200 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'\n"
     "ws #9 -> 10 2 'pi'\n"
     "ws #9 <- 8 5 '' code 1001\n"
     "ws #9 -> 8 0 ''\n",                                                                  NU_FLOW_FIN         },
    {"fragments with a ping between",
     "",                                                                         {UP("\001\202\001\002\003\004``"
         "\211\200\001\002\003\004\000\200\001\002\003\004\200\202\001\002\003\004bf")},
     "ws #9 -> 9 0 ''\n"
     "ws #9 -> 1 4 'abcd'\n",                                                              NU_FLOW_FIN         },
    {"deflate, with its context",
     "permessage-deflate",                                                       {UP("\301\217\001\002\003\004KNL\310\315QK\310JSK\000\260\002\003A\202\001\002\003\004KF\200"
         "\206\001\002\003\004\344\350C,"
         "\001\002\201\205\001\002\003\004qnbmo\301\201\001\002\003\004\001")},
     "ws #9 -> 1 15 'again and again'\n"
     "ws #9 -> 1 22 'again and again, again'\n"
     "ws #9 -> 1 5 'plain'\n"
     "ws #9 -> 1 0 ''\n",                                                                  NU_FLOW_FIN         },
    {"deflate, each anew",
     "permessage-deflate; client_no_context_takeover; server_max_window_bits=9", {UP("\301\217\001\002\003\004KNL\310\315QK\310JSK\000\260\002\003\301\217\001\002\003\004KNL"
         "\310\315QK\310JSK\000\260\002\003"),
      DOWN("\302\006J\311/\317\003\000")},
     "ws #9 -> 1 15 'again and again'\n"
     "ws #9 -> 1 15 'again and again'\n"
     "ws #9 <- 2 4 'down'\n",                                                              NU_FLOW_FIN         },
    {"a compressor that has seen what was sent plain",
     "permessage-deflate",                                                       {UP("\301\207\001\002\003\004K\311/./"
         "\003\003\201\241\001\002\003\004`\042sh`km$nlfe!roehl#kogb$"
         "qnbmo\042ljd\301\204\001\002\003\004#\312\007\004")},
     "ws #9 -> 1 5 'first'\n"
     "ws #9 -> 1 33 'a plain onea plain onea plain one'\n"
     "ws #9 -> 1 33 'a plain onea plain onea plain one'\n",                                NU_FLOW_FIN         },
    {"no deflate",
     "permessage-deflate",                                                       {DOWN("\301\003\377\377\377\301\003\252\000\000\201\001y")},
     "ws #9 <- 1 3 '' incomplete !cannot be inflated: the length is the compressed one\n"
     "ws #9 <- 1 3 '' incomplete !cannot be inflated: the length is the compressed one\n"
     "ws #9 <- 1 1 'y'\n",                                                                 NU_FLOW_FIN         },
    {"a gap within a frame",
     "",                                                                         {DOWN("\201\010abc"), HOLE(1, 3), DOWN("gh\201\001x")},
     "ws #9 <- 1 8 'abc' incomplete !gap of 3B in it\n"
     "ws #9 <- 1 1 'x'\n",                                                                 NU_FLOW_FIN         },
    {"a gap within a compressed one",
     "permessage-deflate; server_no_context_takeover",                           {DOWN("\301\012JLJ"), HOLE(1, 3), DOWN("K\317\000\000\301\003\252\000\000")},
     "ws #9 <- 1 10 'ab' incomplete !gap of 3B in it; cannot be inflated: the length is the "
     "compressed one\n"
     "ws #9 <- 1 1 'x'\n",                                                                 NU_FLOW_FIN | WHOLE },
    {"a gap over frames",
     "permessage-deflate",                                                       {DOWN("\201\010abc"), HOLE(1, 30), DOWN("h\201\001x"), DOWN("\201\001x\301\003\252\002\000")},
     "ws #9 <- 1 8 'abc' incomplete !gap of 5B in it\n"
     "ws #9 <- 1 1 'x' !29B before it were not understood\n"
     "ws #9 <- 1 3 '' incomplete !cannot be inflated: the length is the compressed one\n", NU_FLOW_FIN | WHOLE },
    {"the beginning was not captured",
     "",                                                                         {DOWN("\000\003mid\000\003dle\200\001!\201\001x")},
     "ws #9 <- 0 7 'middle!' incomplete !its beginning was not captured\n"
     "ws #9 <- 1 1 'x'\n",                                                                 NU_FLOW_FIN         },
    {"no frames",
     "",                                                                         {DOWN("\361\002no"), UP("\001\212\001\002\003\004oguas\042lrdp\201\204\001\002\003\004og{"
                             "p\201\203\001\002\003\004b")},
     "ws #9 -> 1 10 'never over' incomplete !cut short\n"
     "ws #9 -> 1 4 'next'\n"
     "ws #9 -> 1 1 'c' incomplete !cut short\n",                                           NU_FLOW_FIN         },
    {"too long a control frame",
     "",                                                                         {DOWN("\201\001x\211~\000~"
           "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
           "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\201\001z")},
     "ws #9 <- 1 1 'x'\n",                                                                 NU_FLOW_OPEN | WHOLE},
};

static struct nu_ws_deflate deflate_of(const char *extensions)
{
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_http_head *head = nu_http_head_new(arena);
    if (*extensions)
        nu_http_add_known(head, NU_HDR_WS_EXTENSIONS, nu_text(extensions, strlen(extensions)));
    struct nu_ws_deflate deflate = nu_ws_deflate_of(head);
    nu_arena_free(arena);
    return deflate;
}

static void tell_of(const struct row *r, size_t first, size_t step)
{
    struct kit *k = kit_new(true);
    struct nu_ws_deflate deflate = deflate_of(r->extensions);
    k->layer = tap_ws_new(&k->conn, 1, 9, &deflate);
    kit_run(k, r->steps, KIT_STEPS, first, step);
    kit_end(k, (enum nu_flow_end)(r->how & 15));
    if (strcmp(k->diary, r->diary) != 0)
        print_message("%s, cut at %zu, %zu\n", r->name, first, step);
    assert_string_equal(k->diary, r->diary);
    kit_free(k);
}

static void every_row_at_every_split(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t longest = 0;
        tell_of(&rows[i], 65536, 65536);
        if (rows[i].how & WHOLE)
            continue;
        for (size_t s = 0; s < KIT_STEPS; s++)
            if (rows[i].steps[s].at && rows[i].steps[s].len > longest)
                longest = rows[i].steps[s].len;
        for (size_t first = 0; first <= longest; first++)
            tell_of(&rows[i], first, 65536);
        tell_of(&rows[i], 1, 1);
    }
}

/* What gzip makes of 65 MiB of zeros, without its header. */
static size_t make_bomb(char *out, size_t room)
{
    static const uint8_t zeros[65536];
    struct nu_encoder_conf conf = {.level = 9, .window_bits = 15, .memory_level = 8};
    struct nu_coder *coder = nu_encoder_new(NU_CODING_GZIP, &conf);
    struct nu_code_io io = {.out = (uint8_t *)out, .out_len = room};
    for (int i = 0; i < 65 * 16; i++) {
        io.in = zeros;
        io.in_len = sizeof zeros;
        assert_int_equal(nu_code(coder, NU_CODE_RUN, &io), NU_CODE_MORE);
    }
    assert_int_equal(nu_code(coder, NU_CODE_FLUSH, &io), NU_CODE_MORE);
    nu_coder_free(coder);
    size_t len = (size_t)((char *)io.out - out) - 10;
    memmove(out, out + 10, len);
    return len - 4;
}

/* 65 MiB of zeros: a bomb is cut, and what follows is read. */
static void a_bomb_is_cut(void **state)
{
    struct kit *k = kit_new(true);
    struct nu_ws_deflate deflate = deflate_of("permessage-deflate; server_no_context_takeover");
    struct bomb {
        char at[90 * 1024];
    } *bomb = calloc(1, sizeof *bomb);
    nu_assert(bomb != NULL);
    size_t payload = make_bomb(bomb->at + 10, sizeof bomb->at - 10);
    bomb->at[0] = (char)0xc2;
    bomb->at[1] = 127;
    for (int i = 0; i < 8; i++)
        bomb->at[2 + i] = (char)((uint64_t)payload >> (56 - 8 * i));
    k->layer = tap_ws_new(&k->conn, 1, 9, &deflate);
    kit_feed(k, 1, bomb->at, payload + 10);
    assert_non_null(strstr(k->diary, "incomplete !inflated to 65552 KiB only"));
    k->diary[k->len = 0] = 0;
    kit_feed(k, 1, "\x81\x01x", 3);
    assert_string_equal(k->diary, "ws #9 <- 1 1 'x'\n");
    kit_end(k, NU_FLOW_FIN);
    kit_free(k);
    free(bomb);
}

/* What is let go of is said, and the rest goes on. */
static void memory_is_let_go(void **state)
{
    struct kit *k = kit_new(true);
    struct nu_ws_deflate deflate = deflate_of("permessage-deflate");
    k->layer = tap_ws_new(&k->conn, 1, 9, &deflate);
    size_t least = k->conn.held;
    kit_feed(k, 1, "\x41\x03\x4a\x4c\x4a", 5);
    assert_true(k->conn.held > least);
    tap_shrink(k->layer);
    assert_int_equal(k->conn.held, least);
    kit_feed(k, 1, "\x80\x01\x00\x81\x01x", 6);
    assert_string_equal(k->diary,
                        "ws #9 <- 1 4 '' incomplete !cannot be inflated: the length is the "
                        "compressed one\nws #9 <- 1 1 'x'\n");
    kit_end(k, NU_FLOW_FIN);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_at_every_split),
        cmocka_unit_test(a_bomb_is_cut),
        cmocka_unit_test(memory_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
