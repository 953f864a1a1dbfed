/*
 * channel.h - between the program and the worker process of an isolated plugin: a socket for short messages, and two
 * pieces of shared memory, one each way, for everything long.
 *
 * The worker is not trusted. What it writes into shared memory it can change at any time, so it is copied before it is
 * looked at; its memory file is sealed against shrinking, so that reading it cannot fault; every number from it is
 * checked. It may let its piece grow, up to MBS_AREA_MAX.
 */
#ifndef MBS_PLUG_CHANNEL_H
#define MBS_PLUG_CHANNEL_H

#include "base/buf.h"

#define MBS_AREA_MAX ((size_t)1 << 32)

typedef struct mbs_area {
    int fd;
    unsigned char *at;
    size_t bytes;
} mbs_area;

/* 0, or an error number. */
int mbs_area_make(mbs_area *a, size_t bytes);
int mbs_area_attach(mbs_area *a, int fd);
/* Room for `need` bytes: the file grows where it must. */
int mbs_area_room(mbs_area *a, size_t need);
/* The other side says that it wrote `bytes`: maps as much, or refuses. */
int mbs_area_follow(mbs_area *a, uint64_t bytes);
void mbs_area_free(mbs_area *a);

/* A message being written into an area. */
typedef struct mbs_put {
    mbs_area *area;
    size_t at;
    int failed;
} mbs_put;
void mbs_put_raw(mbs_put *p, const void *data, size_t n);
void mbs_put_u32(mbs_put *p, uint32_t v);
void mbs_put_i64(mbs_put *p, int64_t v);
void mbs_put_f64(mbs_put *p, double v);
void mbs_put_text(mbs_put *p, const char *s); /* NULL is told from "" */
void mbs_put_align(mbs_put *p);               /* to the next multiple of 64 */
/* The other way, over a private copy: NULL for NULL and, with c->failed, for what is no text. */
const char *mbs_take_text(mbs_cursor *c);
/* A private copy of the first `bytes` of an area, for mbs_slab_put; NULL without memory. */
void *mbs_area_copy(const mbs_area *a, size_t bytes);

enum {
    /* from the program */
    MBS_OP_CREATE = 1,
    MBS_OP_OPEN,
    MBS_OP_READ,
    MBS_OP_ENCODE,
    MBS_OP_DECODE,
    MBS_OP_DRAIN,
    MBS_OP_CLOSE,
    MBS_OP_SAVE,
    MBS_OP_RESTORE,
    MBS_OP_FILES,
    MBS_OP_DESTROY,
    MBS_OP_FILE, /* the answer to ASK_FILE */
    /* from the worker */
    MBS_OP_DONE,     /* the answer to a call */
    MBS_OP_LOG,      /* status: level, text */
    MBS_OP_ASK_FILE, /* host->model_file, text: the name */
    MBS_OP_LAST
};

typedef struct mbs_msg {
    uint32_t magic;
    uint32_t op;
    int64_t seq;    /* DONE: of the call that it answers */
    int64_t arg;    /* READ: max_rows; DONE of CREATE: what it can do; DONE of READ: blocks that came */
    uint64_t bytes; /* in the sender's area */
    int32_t status;
    uint32_t text_bytes;
    char text[1024]; /* only text_bytes of it are sent */
} mbs_msg;

/* What a created instance can do, in arg. */
#define MBS_CAN_CHECKPOINT 1
#define MBS_CAN_TOKENIZER 2

void mbs_msg_init(mbs_msg *m, uint32_t op, int64_t seq);
/* 0, or an error number. */
int mbs_msg_send(int fd, const mbs_msg *m, int wait);
/* One message: 1, 0 at the end (the other side is gone), or a negative error number; -EPROTO: it is none of ours. */
int mbs_msg_receive(int fd, mbs_msg *m);

#endif
