/* What a connection was about, in a few lines: the comment that stands at its first packet in a
 * capture that is written. Texts of peers are safe for a terminal. One thread. */
#ifndef NU_TOOLS_TAP_WRITE_STORY_H
#define NU_TOOLS_TAP_WRITE_STORY_H

#include "tools/tap/fields.h"
#include "tools/tap/text.h"

#define TAP_STORY_LINES 10   /* of a connection; what comes after is counted */
#define TAP_STORY_MAX   4096 /* bytes of them */

/* Zeroed to begin with. */
struct tap_story {
    char *text; /* of lines */
    size_t len;
    unsigned lines;
    uint64_t more; /* things told beyond */
    bool over;
    char end[96]; /* its last line */
};

/* Adds what is told; `scratch` is for building it. Bytes that the story has grown by. */
size_t tap_story_add(struct tap_story *s, const struct tap_record *r, struct tap_out *scratch);
/* The whole, in scratch->buf; without a newline at its end. */
void tap_story_compose(const struct tap_story *s, struct tap_out *scratch);
void tap_story_free(struct tap_story *s);

#endif
