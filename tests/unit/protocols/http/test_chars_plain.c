/* test_chars.c for machines without SSE2. */
#undef __SSE2__
#include "tests/unit/protocols/http/test_chars.c"
