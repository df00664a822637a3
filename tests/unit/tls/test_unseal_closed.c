/* What stays closed, and the reason that is told; what hostile bytes and small bounds do. */
#include "tests/unit/tls/unseal_listener.h"

#define VERSIONS 2

static const struct {
    int version;
    const char *cipher;
} either[VERSIONS] = {
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"       },
};

static void begin_without_keys(void)
{
    begin(NU_UNSEAL_SEALED_MAX, NU_UNSEAL_SEALED_TOTAL_MAX);
}

static void assert_closed(enum nu_unseal_reason reason)
{
    const struct nu_unseal_facts *f = nu_unseal_facts(u);
    assert_int_equal(f->reason, reason);
    assert_false(f->decrypted);
    assert_int_equal(heard.plain[0].len + heard.plain[1].len, 0);
    assert_false(nu_unseal_waits(u));
}

static void record(int dir, uint8_t type, uint16_t version, const void *bytes, size_t len)
{
    uint8_t header[5] = {type, (uint8_t)(version >> 8), (uint8_t)version, (uint8_t)(len >> 8),
                         (uint8_t)len};
    nu_unseal_feed(u, dir, header, sizeof header, 1);
    nu_unseal_feed(u, dir, bytes, len, 1);
}

/* --- keys --- */

static void no_keys(void **state)
{
    for (int v = 0; v < VERSIONS; v++) {
        kit_make(either[v].version, either[v].cipher, 0);
        begin_without_keys();
        feed_steps(0, wire.steps, TEXT_MAX, NULL);
        end_both();
        assert_int_equal(nu_unseal_facts(u)->reason, NU_UNSEAL_NO_KEYS);
        assert_int_equal(heard.ends[0] + heard.ends[1], 0);
        nu_unseal_finish(u);
        assert_closed(NU_UNSEAL_NO_KEYS);
        assert_int_equal(heard.closed[0], NU_UNSEAL_NO_KEYS);
        assert_int_equal(heard.closed[1], NU_UNSEAL_NO_KEYS);
        assert_int_equal(heard.ends[0], 1);
        assert_int_equal(heard.ends[1], 1);
        assert_string_equal(nu_unseal_facts(u)->sni, "name.test");
        assert_string_equal(nu_unseal_facts(u)->cipher_name, either[v].cipher);
        assert_true(nu_unseal_facts(u)->wire[0] > 100);
        nu_secrets_feed(secrets, wire.keys.data, wire.keys.len); /* too late */
        assert_closed(NU_UNSEAL_NO_KEYS);
        done();
    }
}

static void others_keys(void **state)
{
    for (int v = 0; v < VERSIONS; v++) {
        kit_make(either[v].version, either[v].cipher, 0);
        begin_without_keys();
        for (char *at = (char *)wire.keys.data, *end = at + wire.keys.len; at < end; at++) {
            char *line_end = memchr(at, '\n', (size_t)(end - at));
            line_end[-1] = line_end[-1] == '0' ? '1' : '0';
            at = line_end;
        }
        nu_secrets_feed(secrets, wire.keys.data, wire.keys.len);
        feed_steps(0, wire.steps, TEXT_MAX, NULL);
        end_both();
        assert_closed(NU_UNSEAL_WRONG_KEYS);
        done();
    }
}

/* Only one side's: that side is read. */
static void one_sides_keys(void **state)
{
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    begin_without_keys();
    for (char *at = (char *)wire.keys.data, *end = at + wire.keys.len; at < end;) {
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (strncmp(at, "SERVER_TRAFFIC", 14) == 0) /* nor those of the handshake */
            nu_secrets_feed(secrets, at, (size_t)(line_end + 1 - at));
        at = line_end + 1;
    }
    feed_steps(0, wire.steps, TEXT_MAX, NULL);
    end_both();
    nu_unseal_finish(u);
    assert_int_equal(heard.closed[0], NU_UNSEAL_NO_KEYS);
    assert_int_equal(heard.closed[1], NU_UNSEAL_OPEN);
    assert_int_equal(heard.plain[1].len, wire.plain[1].len);
    assert_int_equal(heard.plain[0].len, 0);
    assert_int_equal(nu_unseal_facts(u)->reason, NU_UNSEAL_NO_KEYS);
    done();
}

/* A client that sent early data goes on though its server cannot be read. That it was taken is
 * not known then. */
static void early_data_without_the_server(void **state)
{
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", RESUME | EARLY);
    size_t early = strlen("early data of the client");
    begin_with_keys();
    for (unsigned i = 0, server = 0; i < wire.steps; i++) {
        const uint8_t *bytes = wire.bytes.data + wire.step[i].at;
        if (wire.step[i].dir == 0)
            nu_unseal_feed(u, 0, bytes, wire.step[i].len, 1);
        else if (server++ == 0) /* the ServerHello, and then what is no TLS */
            nu_unseal_feed(u, 1, bytes, 5 + (size_t)bytes[3] * 256 + bytes[4], 1);
        else
            nu_unseal_feed(u, 1, (const uint8_t *)"HTTP/1.1", 8, 1);
    }
    end_both();
    assert_int_equal(heard.closed[0], NU_UNSEAL_OPEN);
    assert_int_equal(heard.closed[1], NU_UNSEAL_BAD_RECORD);
    assert_int_equal(heard.plain[0].len, wire.plain[0].len - early);
    assert_memory_equal(heard.plain[0].data, wire.plain[0].data + early, heard.plain[0].len);
    done();
}

/* RSA's premaster instead of the master secret, with and without RFC 7627. */
static void a_premaster(void **state)
{
    static const unsigned flags[] = {RSA_KEY, RSA_KEY | NO_EMS, RSA_KEY | CLIENT_CERT};
    for (size_t i = 0; i < 2 * sizeof flags / sizeof *flags; i++) {
        kit_make(i % 2 ? TLS1_2_VERSION : TLS1_1_VERSION, "AES128-SHA", flags[i / 2]);
        begin_without_keys();
        feed_steps(0, wire.steps, 7, NULL);
        end_both();
        for (char *at = (char *)wire.keys.data, *end = at + wire.keys.len; at < end;) {
            char *line_end = memchr(at, '\n', (size_t)(end - at));
            if (strncmp(at, "RSA ", 4) == 0)
                nu_secrets_feed(secrets, at, (size_t)(line_end + 1 - at));
            at = line_end + 1;
        }
        assert_int_equal(nu_secrets_figures(secrets).keys, 1);
        assert_all_heard("premaster");
        done();
    }
}

/* --- bounds --- */

static void more_than_may_wait(void **state)
{
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", BULK);
    begin(50000, 1000000);
    feed_steps(0, wire.steps, TEXT_MAX, NULL);
    end_both();
    assert_closed(NU_UNSEAL_NO_KEYS);
    assert_int_equal(heard.ends[0], 1);
    done();
}

static void others_need_the_room(void **state)
{
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", BULK);
    begin(1000000, 300000);
    feed_steps(0, wire.steps, TEXT_MAX, NULL);
    struct nu_unseal *first = u;
    assert_true(nu_unseal_waits(first));
    u = nu_unseal_new(all, &handler, NULL);
    feed_steps(0, wire.steps, TEXT_MAX, NULL);
    assert_false(nu_unseal_waits(first));
    assert_int_equal(nu_unseal_facts(first)->reason, NU_UNSEAL_MEMORY);
    assert_true(nu_unseal_waits(u));
    nu_unseal_free(first);
    nu_secrets_feed(secrets, wire.keys.data, wire.keys.len);
    assert_int_equal(heard.plain[1].len, wire.plain[1].len);
    done();
}

static void bytes_one_by_one_count_as_they_cost(void **state)
{
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    begin(20000, 1000000);
    size_t before = nu_unseals_memory(all);
    feed_steps(0, wire.steps, 1, NULL);
    assert_true(nu_unseals_memory(all) < before + 25000);
    assert_closed(NU_UNSEAL_NO_KEYS);
    done();
}

/* --- what was not seen --- */

static void the_start(void **state)
{
    for (int v = 0; v < VERSIONS; v++) {
        kit_make(either[v].version, either[v].cipher, 0);
        begin_with_keys();
        feed_steps(wire.talk, wire.steps, TEXT_MAX, NULL);
        end_both();
        assert_closed(NU_UNSEAL_MISSED_START);
        done();
    }
}

static void one_direction_alone(void **state)
{
    for (int v = 0; v < VERSIONS; v++)
        for (int dir = 0; dir < 2; dir++) {
            kit_make(either[v].version, either[v].cipher, 0);
            begin_with_keys();
            for (unsigned i = 0; i < wire.steps; i++)
                if (wire.step[i].dir == dir)
                    feed_steps(i, i + 1, TEXT_MAX, NULL);
            end_both();
            nu_unseal_finish(u);
            assert_closed(NU_UNSEAL_MISSED_START);
            done();
        }
}

static void an_alert_instead_of_a_handshake(void **state)
{
    kit_make(TLS1_2_VERSION, "AES128-SHA", RSA_KEY);
    begin_with_keys();
    feed_steps(0, 1, TEXT_MAX, NULL);
    record(1, 21, 0x0301, "\x02\x46", 2);
    end_both();
    assert_closed(NU_UNSEAL_NO_DATA);
    assert_int_equal(nu_unseal_facts(u)->alert[1], 0x0246);
    assert_string_equal(nu_tls_alert_str(0x46), "protocol_version");
    assert_string_equal(nu_unseal_facts(u)->sni, "name.test");
    done();
}

/* --- what is not understood --- */

/* A ServerHello of that version, cipher and compression. */
static void server_hello(uint16_t version, uint16_t cipher, uint8_t compression)
{
    uint8_t hello[42] = {2, 0, 0, 38, (uint8_t)(version >> 8), (uint8_t)version};
    hello[39] = (uint8_t)(cipher >> 8);
    hello[40] = (uint8_t)cipher;
    hello[41] = compression;
    record(1, 22, 0x0300, hello, sizeof hello);
}

static void versions_and_ciphers(void **state)
{
    static const struct {
        uint16_t version, cipher;
        uint8_t compression;
        enum nu_unseal_reason reason;
        const char *name;
    } rows[] = {
        {0x0303, 0x0004, 0, NU_UNSEAL_RC4,             "RC4-MD5"               },
        {0x0301, 0xc011, 0, NU_UNSEAL_RC4,             "ECDHE-RSA-RC4-SHA"     },
        {0x0303, 0x003b, 0, NU_UNSEAL_NOT_SEALED,      "NULL-SHA256"           },
        {0x0303, 0x1234, 0, NU_UNSEAL_CIPHER_UNKNOWN,  "0x1234"                },
        {0x0303, 0x002f, 1, NU_UNSEAL_COMPRESSED,      "AES128-SHA"            },
        {0x0303, 0x1301, 0, NU_UNSEAL_CIPHER_UNKNOWN,  "TLS_AES_128_GCM_SHA256"},
        {0x0300, 0x002f, 0, NU_UNSEAL_VERSION_UNKNOWN, "AES128-SHA"            },
        {0x7f1c, 0x1301, 0, NU_UNSEAL_VERSION_UNKNOWN, "TLS_AES_128_GCM_SHA256"},
    };
    kit_make(TLS1_2_VERSION, "AES128-SHA", RSA_KEY);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin_with_keys();
        feed_steps(0, 1, TEXT_MAX, NULL);
        server_hello(rows[i].version, rows[i].cipher, rows[i].compression);
        feed_steps(2, wire.steps, TEXT_MAX, NULL);
        end_both();
        assert_closed(rows[i].reason);
        assert_string_equal(nu_unseal_facts(u)->cipher_name, rows[i].name);
        done();
    }
}

static void what_is_no_tls(void **state)
{
    begin_without_keys();
    nu_unseal_feed(u, 0, (const uint8_t *)"GET / HTTP/1.1\r\n", 16, 1);
    assert_int_equal(heard.closed[0], NU_UNSEAL_MISSED_START);
    done();
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    begin_with_keys();
    feed_steps(0, wire.talk, TEXT_MAX, NULL);
    nu_unseal_feed(u, 0, (const uint8_t *)"GET / HTTP/1.1\r\n", 16, 1);
    assert_int_equal(heard.closed[0], NU_UNSEAL_BAD_RECORD);
    assert_int_equal(heard.closed[1], NU_UNSEAL_OPEN);
    done();
}

/* A message longer than what is looked into is passed over, however it comes. */
static void a_message_of_a_megabyte(void **state)
{
    static uint8_t part[16000];
    kit_make(TLS1_2_VERSION, "AES128-SHA", RSA_KEY);
    begin_with_keys();
    feed_steps(0, 1, TEXT_MAX, NULL);
    record(1, 22, 0x0303, "\x16\x0f\x42\x40", 4);
    for (size_t sent = 0; sent < 1000000; sent += sizeof part)
        record(1, 22, 0x0303, part, sent + sizeof part < 1000000 ? sizeof part : 1000000 - sent);
    assert_true(nu_unseals_memory(all) < 100000);
    feed_steps(1, wire.steps, TEXT_MAX, NULL);
    end_both();
    assert_int_equal(heard.plain[0].len, wire.plain[0].len);
    assert_int_equal(heard.plain[1].len, wire.plain[1].len);
    done();
}

/* --- names --- */

static void looks(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum nu_err is;
    } rows[] = {
        {"\x16\x03\x01\x02\x00\x01", 6, NU_OK      },
        {"\x17\x03\x03\x00\x10",     5, NU_OK      },
        {"\x16\x03\x01\x02",         4, NU_MORE    },
        {"",                         0, NU_MORE    },
        {"\x16\x03\x01\x00\x00",     5, NU_NOT_THIS},
        {"\x16\x03\x05",             3, NU_NOT_THIS},
        {"\x16\x02",                 2, NU_NOT_THIS},
        {"G",                        1, NU_NOT_THIS},
        {"\x16\x03\x01\x50\x00",     5, NU_NOT_THIS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(nu_unseal_looks((const uint8_t *)rows[i].bytes, rows[i].len), rows[i].is);
}

static void everything_has_a_name(void **state)
{
    for (int i = 0; i < NU_UNSEAL_REASONS; i++)
        assert_true(strlen(nu_unseal_reason_str((enum nu_unseal_reason)i)) > 2);
    assert_string_equal(nu_unseal_reason_str(NU_UNSEAL_REASONS), "?");
    assert_string_equal(nu_tls_version_str(0x0304), "TLSv1.3");
    assert_string_equal(nu_tls_version_str(0x7f1c), "?");
    assert_string_equal(nu_tls_alert_str(40), "handshake_failure");
    assert_string_equal(nu_tls_alert_str(1), "?");
    nu_unseal_free(NULL);
    nu_unseals_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_keys),
        cmocka_unit_test(others_keys),
        cmocka_unit_test(one_sides_keys),
        cmocka_unit_test(early_data_without_the_server),
        cmocka_unit_test(a_premaster),
        cmocka_unit_test(more_than_may_wait),
        cmocka_unit_test(others_need_the_room),
        cmocka_unit_test(bytes_one_by_one_count_as_they_cost),
        cmocka_unit_test(the_start),
        cmocka_unit_test(one_direction_alone),
        cmocka_unit_test(an_alert_instead_of_a_handshake),
        cmocka_unit_test(versions_and_ciphers),
        cmocka_unit_test(what_is_no_tls),
        cmocka_unit_test(a_message_of_a_megabyte),
        cmocka_unit_test(looks),
        cmocka_unit_test(everything_has_a_name),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_free();
    return failed;
}
