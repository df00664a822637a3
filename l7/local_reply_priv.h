/* The list `local_replies` as it is read (local_reply_conf.c) and used (local_reply.c). */
#ifndef NU_L7_LOCAL_REPLY_PRIV_H
#define NU_L7_LOCAL_REPLY_PRIV_H

#include "l7/head_edit.h"
#include "l7/local_reply.h"

struct status_range {
    uint16_t first, last;
};

struct local_reply {
    struct nu_vec status;     /* struct status_range; none = any */
    struct nu_vec flag_list;  /* int, enum nu_stream_flag */
    int64_t status_to;        /* 0 = as it is */
    const char *body;         /* NULL: none was written */
    const char *body_file;    /* the same */
    const char *content_type; /* NULL = text/plain */
    const struct nu_head_edits *edits;

    /* --- made of these --- */
    uint32_t flags; /* 1 << enum nu_stream_flag; one of them is enough; 0 = whatever they are */
    bool has_body;
    struct nu_text text; /* of body or body_file */
};

struct nu_local_replies {
    const struct local_reply *reply;
    size_t count;
};

#endif
