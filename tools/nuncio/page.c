/* The page at / for people, as it stands in page/index.html. Main thread. */
#include "tools/nuncio/admin_page.h"

#include <stdint.h>

/* The file itself becomes a part of the program; its rule in the Makefile knows. */
__asm__(".pushsection .rodata\n"
        "page_begin: .incbin \"tools/nuncio/page/index.html\"\n"
        "page_end: .balign 8\n"
        "page_size: .quad page_end - page_begin\n"
        ".popsection\n");
extern const char page_begin[];
extern const uint64_t page_size;

static unsigned run_home(const struct nu_admin_request *request, FILE *out)
{
    fwrite(page_begin, 1, (size_t)page_size, out);
    return 200;
}

const struct nu_admin_page nu_page_home = {
    .path = "/",
    .params = "",
    .doc = "a page for people",
    .type = "text/html; charset=UTF-8",
    .run = run_home,
};
