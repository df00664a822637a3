/* The cipher suites that are opened, by code. Not those with pre-shared keys of TLS 1.2, without
 * encryption, or with RC4 and DES, which OpenSSL no longer has. */
#include "tls/unseal_seal.h"

#include <stdlib.h>

enum {
    AES128_SHA,
    AES256_SHA,
    AES128_SHA256,
    AES256_SHA256,
    AES256_SHA384,
    CAMELLIA128_SHA,
    CAMELLIA256_SHA,
    CAMELLIA128_SHA256,
    CAMELLIA256_SHA256,
    CAMELLIA256_SHA384,
    DES3_SHA,
    AES128_GCM,
    AES256_GCM,
    ARIA128_GCM,
    ARIA256_GCM,
    AES128_CCM,
    AES256_CCM,
    AES128_CCM8,
    AES256_CCM8,
    CHACHA20,
    BULKS,
};

static const struct unseal_bulk bulks[] = {
    [AES128_SHA] = {"AES-128-CBC",       "SHA1",   UNSEAL_CBC,    16, 16, 20},
    [AES256_SHA] = {"AES-256-CBC",       "SHA1",   UNSEAL_CBC,    32, 16, 20},
    [AES128_SHA256] = {"AES-128-CBC",       "SHA256", UNSEAL_CBC,    16, 16, 32},
    [AES256_SHA256] = {"AES-256-CBC",       "SHA256", UNSEAL_CBC,    32, 16, 32},
    [AES256_SHA384] = {"AES-256-CBC",       "SHA384", UNSEAL_CBC,    32, 16, 48},
    [CAMELLIA128_SHA] = {"CAMELLIA-128-CBC",  "SHA1",   UNSEAL_CBC,    16, 16, 20},
    [CAMELLIA256_SHA] = {"CAMELLIA-256-CBC",  "SHA1",   UNSEAL_CBC,    32, 16, 20},
    [CAMELLIA128_SHA256] = {"CAMELLIA-128-CBC",  "SHA256", UNSEAL_CBC,    16, 16, 32},
    [CAMELLIA256_SHA256] = {"CAMELLIA-256-CBC",  "SHA256", UNSEAL_CBC,    32, 16, 32},
    [CAMELLIA256_SHA384] = {"CAMELLIA-256-CBC",  "SHA384", UNSEAL_CBC,    32, 16, 48},
    [DES3_SHA] = {"DES-EDE3-CBC",      "SHA1",   UNSEAL_CBC,    24, 8,  20},
    [AES128_GCM] = {"AES-128-GCM",       NULL,     UNSEAL_GCM,    16, 4,  16},
    [AES256_GCM] = {"AES-256-GCM",       NULL,     UNSEAL_GCM,    32, 4,  16},
    [ARIA128_GCM] = {"ARIA-128-GCM",      NULL,     UNSEAL_GCM,    16, 4,  16},
    [ARIA256_GCM] = {"ARIA-256-GCM",      NULL,     UNSEAL_GCM,    32, 4,  16},
    [AES128_CCM] = {"AES-128-CCM",       NULL,     UNSEAL_CCM,    16, 4,  16},
    [AES256_CCM] = {"AES-256-CCM",       NULL,     UNSEAL_CCM,    32, 4,  16},
    [AES128_CCM8] = {"AES-128-CCM",       NULL,     UNSEAL_CCM,    16, 4,  8 },
    [AES256_CCM8] = {"AES-256-CCM",       NULL,     UNSEAL_CCM,    32, 4,  8 },
    [CHACHA20] = {"ChaCha20-Poly1305", NULL,     UNSEAL_CHACHA, 32, 12, 16},
};
_Static_assert(BULKS <= UNSEAL_BULKS, "each has its fetched cipher");

#define SHA256 "SHA256"
#define SHA384 "SHA384"
/* By code: it is searched in halves. */
static const struct unseal_suite suites[] = {
    {0x000a, "DES-CBC3-SHA",                   DES3_SHA,           SHA256},
    {0x0016, "DHE-RSA-DES-CBC3-SHA",           DES3_SHA,           SHA256},
    {0x002f, "AES128-SHA",                     AES128_SHA,         SHA256},
    {0x0032, "DHE-DSS-AES128-SHA",             AES128_SHA,         SHA256},
    {0x0033, "DHE-RSA-AES128-SHA",             AES128_SHA,         SHA256},
    {0x0034, "ADH-AES128-SHA",                 AES128_SHA,         SHA256},
    {0x0035, "AES256-SHA",                     AES256_SHA,         SHA256},
    {0x0038, "DHE-DSS-AES256-SHA",             AES256_SHA,         SHA256},
    {0x0039, "DHE-RSA-AES256-SHA",             AES256_SHA,         SHA256},
    {0x003a, "ADH-AES256-SHA",                 AES256_SHA,         SHA256},
    {0x003c, "AES128-SHA256",                  AES128_SHA256,      SHA256},
    {0x003d, "AES256-SHA256",                  AES256_SHA256,      SHA256},
    {0x0040, "DHE-DSS-AES128-SHA256",          AES128_SHA256,      SHA256},
    {0x0041, "CAMELLIA128-SHA",                CAMELLIA128_SHA,    SHA256},
    {0x0044, "DHE-DSS-CAMELLIA128-SHA",        CAMELLIA128_SHA,    SHA256},
    {0x0045, "DHE-RSA-CAMELLIA128-SHA",        CAMELLIA128_SHA,    SHA256},
    {0x0046, "ADH-CAMELLIA128-SHA",            CAMELLIA128_SHA,    SHA256},
    {0x0067, "DHE-RSA-AES128-SHA256",          AES128_SHA256,      SHA256},
    {0x006a, "DHE-DSS-AES256-SHA256",          AES256_SHA256,      SHA256},
    {0x006b, "DHE-RSA-AES256-SHA256",          AES256_SHA256,      SHA256},
    {0x006c, "ADH-AES128-SHA256",              AES128_SHA256,      SHA256},
    {0x006d, "ADH-AES256-SHA256",              AES256_SHA256,      SHA256},
    {0x0084, "CAMELLIA256-SHA",                CAMELLIA256_SHA,    SHA256},
    {0x0087, "DHE-DSS-CAMELLIA256-SHA",        CAMELLIA256_SHA,    SHA256},
    {0x0088, "DHE-RSA-CAMELLIA256-SHA",        CAMELLIA256_SHA,    SHA256},
    {0x0089, "ADH-CAMELLIA256-SHA",            CAMELLIA256_SHA,    SHA256},
    {0x009c, "AES128-GCM-SHA256",              AES128_GCM,         SHA256},
    {0x009d, "AES256-GCM-SHA384",              AES256_GCM,         SHA384},
    {0x009e, "DHE-RSA-AES128-GCM-SHA256",      AES128_GCM,         SHA256},
    {0x009f, "DHE-RSA-AES256-GCM-SHA384",      AES256_GCM,         SHA384},
    {0x00a2, "DHE-DSS-AES128-GCM-SHA256",      AES128_GCM,         SHA256},
    {0x00a3, "DHE-DSS-AES256-GCM-SHA384",      AES256_GCM,         SHA384},
    {0x00a6, "ADH-AES128-GCM-SHA256",          AES128_GCM,         SHA256},
    {0x00a7, "ADH-AES256-GCM-SHA384",          AES256_GCM,         SHA384},
    {0x00ba, "CAMELLIA128-SHA256",             CAMELLIA128_SHA256, SHA256},
    {0x00bd, "DHE-DSS-CAMELLIA128-SHA256",     CAMELLIA128_SHA256, SHA256},
    {0x00be, "DHE-RSA-CAMELLIA128-SHA256",     CAMELLIA128_SHA256, SHA256},
    {0x00bf, "ADH-CAMELLIA128-SHA256",         CAMELLIA128_SHA256, SHA256},
    {0x00c0, "CAMELLIA256-SHA256",             CAMELLIA256_SHA256, SHA256},
    {0x00c3, "DHE-DSS-CAMELLIA256-SHA256",     CAMELLIA256_SHA256, SHA256},
    {0x00c4, "DHE-RSA-CAMELLIA256-SHA256",     CAMELLIA256_SHA256, SHA256},
    {0x00c5, "ADH-CAMELLIA256-SHA256",         CAMELLIA256_SHA256, SHA256},
    {0x1301, "TLS_AES_128_GCM_SHA256",         AES128_GCM,         SHA256},
    {0x1302, "TLS_AES_256_GCM_SHA384",         AES256_GCM,         SHA384},
    {0x1303, "TLS_CHACHA20_POLY1305_SHA256",   CHACHA20,           SHA256},
    {0x1304, "TLS_AES_128_CCM_SHA256",         AES128_CCM,         SHA256},
    {0x1305, "TLS_AES_128_CCM_8_SHA256",       AES128_CCM8,        SHA256},
    {0xc008, "ECDHE-ECDSA-DES-CBC3-SHA",       DES3_SHA,           SHA256},
    {0xc009, "ECDHE-ECDSA-AES128-SHA",         AES128_SHA,         SHA256},
    {0xc00a, "ECDHE-ECDSA-AES256-SHA",         AES256_SHA,         SHA256},
    {0xc012, "ECDHE-RSA-DES-CBC3-SHA",         DES3_SHA,           SHA256},
    {0xc013, "ECDHE-RSA-AES128-SHA",           AES128_SHA,         SHA256},
    {0xc014, "ECDHE-RSA-AES256-SHA",           AES256_SHA,         SHA256},
    {0xc018, "AECDH-AES128-SHA",               AES128_SHA,         SHA256},
    {0xc019, "AECDH-AES256-SHA",               AES256_SHA,         SHA256},
    {0xc023, "ECDHE-ECDSA-AES128-SHA256",      AES128_SHA256,      SHA256},
    {0xc024, "ECDHE-ECDSA-AES256-SHA384",      AES256_SHA384,      SHA384},
    {0xc027, "ECDHE-RSA-AES128-SHA256",        AES128_SHA256,      SHA256},
    {0xc028, "ECDHE-RSA-AES256-SHA384",        AES256_SHA384,      SHA384},
    {0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256",  AES128_GCM,         SHA256},
    {0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384",  AES256_GCM,         SHA384},
    {0xc02f, "ECDHE-RSA-AES128-GCM-SHA256",    AES128_GCM,         SHA256},
    {0xc030, "ECDHE-RSA-AES256-GCM-SHA384",    AES256_GCM,         SHA384},
    {0xc050, "ARIA128-GCM-SHA256",             ARIA128_GCM,        SHA256},
    {0xc051, "ARIA256-GCM-SHA384",             ARIA256_GCM,        SHA384},
    {0xc052, "DHE-RSA-ARIA128-GCM-SHA256",     ARIA128_GCM,        SHA256},
    {0xc053, "DHE-RSA-ARIA256-GCM-SHA384",     ARIA256_GCM,        SHA384},
    {0xc056, "DHE-DSS-ARIA128-GCM-SHA256",     ARIA128_GCM,        SHA256},
    {0xc057, "DHE-DSS-ARIA256-GCM-SHA384",     ARIA256_GCM,        SHA384},
    {0xc05c, "ECDHE-ECDSA-ARIA128-GCM-SHA256", ARIA128_GCM,        SHA256},
    {0xc05d, "ECDHE-ECDSA-ARIA256-GCM-SHA384", ARIA256_GCM,        SHA384},
    {0xc060, "ECDHE-ARIA128-GCM-SHA256",       ARIA128_GCM,        SHA256},
    {0xc061, "ECDHE-ARIA256-GCM-SHA384",       ARIA256_GCM,        SHA384},
    {0xc072, "ECDHE-ECDSA-CAMELLIA128-SHA256", CAMELLIA128_SHA256, SHA256},
    {0xc073, "ECDHE-ECDSA-CAMELLIA256-SHA384", CAMELLIA256_SHA384, SHA384},
    {0xc076, "ECDHE-RSA-CAMELLIA128-SHA256",   CAMELLIA128_SHA256, SHA256},
    {0xc077, "ECDHE-RSA-CAMELLIA256-SHA384",   CAMELLIA256_SHA384, SHA384},
    {0xc09c, "AES128-CCM",                     AES128_CCM,         SHA256},
    {0xc09d, "AES256-CCM",                     AES256_CCM,         SHA256},
    {0xc09e, "DHE-RSA-AES128-CCM",             AES128_CCM,         SHA256},
    {0xc09f, "DHE-RSA-AES256-CCM",             AES256_CCM,         SHA256},
    {0xc0a0, "AES128-CCM8",                    AES128_CCM8,        SHA256},
    {0xc0a1, "AES256-CCM8",                    AES256_CCM8,        SHA256},
    {0xc0a2, "DHE-RSA-AES128-CCM8",            AES128_CCM8,        SHA256},
    {0xc0a3, "DHE-RSA-AES256-CCM8",            AES256_CCM8,        SHA256},
    {0xc0ac, "ECDHE-ECDSA-AES128-CCM",         AES128_CCM,         SHA256},
    {0xc0ad, "ECDHE-ECDSA-AES256-CCM",         AES256_CCM,         SHA256},
    {0xc0ae, "ECDHE-ECDSA-AES128-CCM8",        AES128_CCM8,        SHA256},
    {0xc0af, "ECDHE-ECDSA-AES256-CCM8",        AES256_CCM8,        SHA256},
    {0xcca8, "ECDHE-RSA-CHACHA20-POLY1305",    CHACHA20,           SHA256},
    {0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305",  CHACHA20,           SHA256},
    {0xccaa, "DHE-RSA-CHACHA20-POLY1305",      CHACHA20,           SHA256},
};

static int by_code(const void *key, const void *row)
{
    return (int)*(const uint16_t *)key - (int)((const struct unseal_suite *)row)->code;
}

const struct unseal_suite *unseal_suite(uint16_t code)
{
    return bsearch(&code, suites, sizeof suites / sizeof *suites, sizeof *suites, by_code);
}

/* What old servers still choose. By code. */
static const struct unseal_unread unread[] = {
    {0x0001, "NULL-MD5",             NU_UNSEAL_NOT_SEALED},
    {0x0002, "NULL-SHA",             NU_UNSEAL_NOT_SEALED},
    {0x0003, "EXP-RC4-MD5",          NU_UNSEAL_RC4       },
    {0x0004, "RC4-MD5",              NU_UNSEAL_RC4       },
    {0x0005, "RC4-SHA",              NU_UNSEAL_RC4       },
    {0x0017, "EXP-ADH-RC4-MD5",      NU_UNSEAL_RC4       },
    {0x0018, "ADH-RC4-MD5",          NU_UNSEAL_RC4       },
    {0x003b, "NULL-SHA256",          NU_UNSEAL_NOT_SEALED},
    {0xc001, "ECDH-ECDSA-NULL-SHA",  NU_UNSEAL_NOT_SEALED},
    {0xc002, "ECDH-ECDSA-RC4-SHA",   NU_UNSEAL_RC4       },
    {0xc006, "ECDHE-ECDSA-NULL-SHA", NU_UNSEAL_NOT_SEALED},
    {0xc007, "ECDHE-ECDSA-RC4-SHA",  NU_UNSEAL_RC4       },
    {0xc00b, "ECDH-RSA-NULL-SHA",    NU_UNSEAL_NOT_SEALED},
    {0xc00c, "ECDH-RSA-RC4-SHA",     NU_UNSEAL_RC4       },
    {0xc010, "ECDHE-RSA-NULL-SHA",   NU_UNSEAL_NOT_SEALED},
    {0xc011, "ECDHE-RSA-RC4-SHA",    NU_UNSEAL_RC4       },
    {0xc015, "AECDH-NULL-SHA",       NU_UNSEAL_NOT_SEALED},
    {0xc016, "AECDH-RC4-SHA",        NU_UNSEAL_RC4       },
    {0xc0b4, "TLS_SHA256_SHA256",    NU_UNSEAL_NOT_SEALED},
    {0xc0b5, "TLS_SHA384_SHA384",    NU_UNSEAL_NOT_SEALED},
};

static int unread_by_code(const void *key, const void *row)
{
    return (int)*(const uint16_t *)key - (int)((const struct unseal_unread *)row)->code;
}

const struct unseal_unread *unseal_unread(uint16_t code)
{
    return bsearch(&code, unread, sizeof unread / sizeof *unread, sizeof *unread, unread_by_code);
}

const struct unseal_bulk *unseal_bulk(unsigned bulk)
{
    return &bulks[bulk];
}
