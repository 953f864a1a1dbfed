/* Faults of behaviour: the tables are fine, one answer is not. ZOO_HOW says which; "good" has none. */
#include <pthread.h>

#include "zoo/zoo.h"

enum {
    ZOO_GOOD,
    ZOO_NULL_SELF,
    ZOO_WRONG_HEADER,
    ZOO_NO_HEADER,
    ZOO_WRONG_TYPE,
    ZOO_WRONG_DTYPE,
    ZOO_TOO_MANY,
    ZOO_LIES_LENGTH,
    ZOO_NO_END,
    ZOO_DOUBLE_START,
    ZOO_HOLE,
    ZOO_NO_RECORD,
    ZOO_NO_BLOCK,
    ZOO_BAD_INDEX,
    ZOO_END_WITH_BLOCK,
    ZOO_SILENT,
    ZOO_ODD_STATUS,
    ZOO_UNKNOWN_POSITIVE,
    ZOO_SAYS_WHY,
    ZOO_FROM_THREAD
};
static const int how = ZOO_HOW;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    return how == ZOO_NULL_SELF ? MBS_OK : zoo_create(host, params, self);
}

static mbs_status open_it(void *self, const mbs_stream_header **header) {
    static mbs_stream_header wrong;
    mbs_status rc = zoo_open(self, header);
    if (how == ZOO_WRONG_HEADER) {
        wrong = **header;
        wrong.type = "pcm/f32";
        *header = &wrong;
    } else if (how == ZOO_NO_HEADER) {
        *header = NULL;
    }
    return rc;
}

/* Puts another block in place of the right one. */
static void replace(zoo_reader *r, mbs_block **b, const char *type, int32_t dtype, int64_t rows) {
    mbs_block *other = r->host->block_new(r->host, type, dtype, 1, &rows);
    other->record = (*b)->record;
    other->start = (*b)->start;
    other->end = (*b)->start + rows;
    other->flags = (*b)->flags;
    r->host->block_unref(r->host, *b);
    *b = other;
}

static void *complain(void *arg) {
    zoo_reader *r = arg;
    r->host->log(r->host, MBS_LOGLEVEL_WARNING, "a thread of the plugin speaks");
    r->host->fail(r->host, MBS_ERR_DATA, NULL, "block 7 of the file is damaged");
    return NULL;
}

/* Failures, from the second record on. */
static mbs_status fail_how(zoo_reader *r) {
    pthread_t t;
    switch (how) {
    case ZOO_SILENT:
        return MBS_ERR_IO;
    case ZOO_ODD_STATUS:
        return -5;
    case ZOO_UNKNOWN_POSITIVE:
        return 9;
    case ZOO_SAYS_WHY:
        r->host->hint(r->host, "run 'zoo index %s' first", "x.fa");
        r->host->fail(r->host, MBS_ERR_DATA, "path", "record %d of 'x.fa' is not a sequence", 2);
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "a second message that nobody should see");
    case ZOO_FROM_THREAD:
        if (pthread_create(&t, NULL, complain, r) == 0) {
            pthread_join(t, NULL);
        }
        return MBS_ERR_DATA;
    default:
        return MBS_OK;
    }
}

static void spoil(zoo_reader *r, mbs_block **b, int64_t max_rows) {
    switch (how) {
    case ZOO_WRONG_TYPE:
        replace(r, b, "tokens/i32", MBS_I32, (*b)->shape[0]);
        break;
    case ZOO_WRONG_DTYPE:
        replace(r, b, "bases/u8", MBS_I64, (*b)->shape[0]);
        break;
    case ZOO_TOO_MANY:
        replace(r, b, "bases/u8", MBS_U8, max_rows + 1);
        break;
    case ZOO_LIES_LENGTH:
        r->out.length = ZOO_LENGTH + 7;
        break;
    case ZOO_NO_END:
        (*b)->flags &= ~MBS_SEQ_END;
        break;
    case ZOO_DOUBLE_START:
        (*b)->flags |= MBS_SEQ_START;
        break;
    case ZOO_HOLE:
        (*b)->start++;
        (*b)->end++;
        break;
    case ZOO_NO_RECORD:
        (*b)->record = NULL;
        break;
    case ZOO_NO_BLOCK:
        r->host->block_unref(r->host, *b);
        *b = NULL;
        break;
    case ZOO_BAD_INDEX:
        r->out.index += 5;
        break;
    default:
        break;
    }
}

/* The first record is read well, so that the fault is found in the middle of a run, in record "two". */
static mbs_status read_it(void *self, int64_t max_rows, mbs_block **out) {
    zoo_reader *r = self;
    int second = r->record == 1;
    mbs_status rc = second ? fail_how(r) : MBS_OK;
    if (rc == MBS_OK) {
        rc = zoo_read(self, max_rows, out);
    }
    if (rc == MBS_OK && second) {
        spoil(r, out, max_rows);
    }
    return rc == MBS_OK && second && how == ZOO_END_WITH_BLOCK ? MBS_END : rc;
}

static const mbs_reader_vt vt = {
    .struct_size = sizeof vt,
    .create = create,
    .open = open_it,
    .read = read_it,
    .close = zoo_close,
    .destroy = zoo_destroy,
};
static const mbs_descriptor descriptor = ZOO_DESCRIPTOR(&vt);
static const mbs_descriptor *const list[] = {&descriptor};
MBS_PLUGIN_DEFINE(mischief, list, NULL);
