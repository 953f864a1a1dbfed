#include "plug/check/feed.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "plug/block.h"
#include "plug/instance.h"

static const struct {
    const char *type, *task;
    int32_t dtype, width;
} known[] = {
    {"bases/u8", "", MBS_U8, 0},           {"score/f32", "score", MBS_F32, 1},
    {"scores/f32", "score", MBS_F32, 2},   {"embedding/f32", "embed", MBS_F32, 16},
    {"logits/f32", "logits", MBS_F32, 11}, {"class/f32", "classify", MBS_F32, 3},
    {"tokens/i32", "", MBS_I32, 0},        {"pcm/f32", "", MBS_F32, 2},
    {"rows/f32", "", MBS_F32, 4},          {"frames/f32", "", MBS_F32, 8},
};
#define N_KNOWN (sizeof known / sizeof known[0])

static size_t find(const char *type) {
    size_t k = 0;
    while (k < N_KNOWN && strcmp(known[k].type, type) != 0) {
        k++;
    }
    return k;
}

int mbs_feed_type(const char *types, int i, char *type, size_t size) {
    if (strcmp(types, "*") == 0) {
        (void)snprintf(type, size, "%s", i < (int)N_KNOWN ? known[i].type : "");
        return i >= (int)N_KNOWN;
    }
    for (const char *p = types; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        (void)snprintf(type, size, "%.*s", (int)len, p);
        /* Of a type of the author's own the elements are enough, as one column; `edits` nobody can guess. */
        if (mbs_type_dtype(type) != 0 && strcmp(type, "edits") != 0 && i-- == 0) {
            return 0;
        }
        p += len;
    }
    return -1;
}

static void attr(mbs_feed *f, const char *key, const char *value) {
    if (f->header.n_attrs < MBS_FEED_ATTRS) {
        f->attrs[f->header.n_attrs++] = (mbs_attr){key, value};
    }
}

static void make_header(mbs_feed *f, const char *task) {
    static const char *const same[][2] = {
        {"format", "1"},    {"mambaseq_version", "0"}, {"pipeline", "made up"}, {"input", "made-up"},
        {"codec", "bases"}, {"vocab", "caduceus"},     {"model_sha256", "00"},  {"arithmetic", "cpu/ref/f32"},
        {"dtype", "f32"}};
    f->source.path = "made-up";
    f->header = (mbs_stream_header){.struct_size = sizeof f->header,
                                    .type = f->type,
                                    .unit = strncmp(f->type, "pcm/", 4) == 0 ? "sample" : "base",
                                    .rate = strncmp(f->type, "pcm/", 4) == 0 ? 16000 : 0,
                                    .channels = strcmp(f->type, "pcm/f32") == 0 ? f->width : 1,
                                    .n_records = MBS_FEED_RECORDS,
                                    .n_units = -1,
                                    .n_sources = 1,
                                    .sources = &f->source,
                                    .n_contigs = MBS_FEED_RECORDS,
                                    .contigs = f->contigs,
                                    .attrs = f->attrs};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        attr(f, same[i][0], same[i][1]);
    }
    if (task[0]) {
        attr(f, "task", task);
    }
}

void mbs_feed_init(mbs_feed *f, const char *type, mbs_feed_style style, uint64_t seed, const char *text, size_t len) {
    static const int64_t lengths[MBS_FEED_RECORDS] = {37, 1, 0, 5000, 129};
    static const char *const wild_names[MBS_FEED_RECORDS] = {"tab\there", "line\nend", "", "\xff\xfe\x01",
                                                             "\"quoted\" \\ {yaml: [}"};
    memset(f, 0, sizeof *f);
    (void)snprintf(f->type, sizeof f->type, "%s", type);
    size_t k = find(f->type);
    f->dtype = k < N_KNOWN ? known[k].dtype : mbs_type_dtype(f->type);
    f->width = k < N_KNOWN ? known[k].width : 0;
    f->style = style;
    f->seed = seed;
    f->text = text;
    f->text_len = len;
    for (int i = 0; i < MBS_FEED_RECORDS; i++) {
        f->lengths[i] = lengths[i];
        if (style == MBS_FEED_WILD) {
            (void)snprintf(f->names[i], sizeof f->names[i], "%s", wild_names[i]);
        } else {
            (void)snprintf(f->names[i], sizeof f->names[i], "made%d", i + 1);
        }
        f->contigs[i] = (mbs_contig){f->names[i], lengths[i] + 100};
    }
    make_header(f, k < N_KNOWN ? known[k].task : "");
    if (text) {
        f->header.n_records = -1;
        f->header.n_contigs = 0;
    }
}

void mbs_feed_free(mbs_feed *f) {
    mbs_record_free(f->copy);
    f->copy = NULL;
}

static uint8_t letter(const mbs_feed *f, uint32_t w) {
    int bases = strncmp(f->type, "bases/", 6) == 0;
    if (f->style == MBS_FEED_WILD) {
        return (uint8_t)w;
    }
    if (bases) {
        return (uint8_t)(f->style == MBS_FEED_PLAIN ? "ACGT"[w % 4] : "ACGTACGTACGTACGTacgtN"[w % 21]);
    }
    return (uint8_t)(f->style == MBS_FEED_PLAIN ? 'a' + (int)(w % 26) : ' ' + (int)(w % 95));
}

static void put(const mbs_feed *f, void *data, int64_t i, const uint32_t w[4]) {
    int wild = f->style == MBS_FEED_WILD;
    float f32 = 0;
    double f64 = 0;
    switch (f->dtype) {
    case MBS_U8:
        ((uint8_t *)data)[i] = letter(f, w[0]);
        return;
    case MBS_I32:
        ((int32_t *)data)[i] = wild ? (int32_t)w[0] : (int32_t)(w[0] % 8);
        return;
    case MBS_I64:
        ((int64_t *)data)[i] = wild ? (int64_t)((uint64_t)w[0] << 32 | w[1]) : (int64_t)(w[0] % 1000);
        return;
    case MBS_F32:
        memcpy(&f32, &w[0], sizeof f32);
        ((float *)data)[i] = wild ? f32 : -(float)(w[0] >> 8) / 16777216.0f;
        return;
    default:
        memcpy(&f64, w, sizeof f64);
        ((double *)data)[i] = wild ? f64 : -(double)w[0] / 4294967296.0;
        return;
    }
}

/* Rows of the record at hand, -1 where there is no further record. */
static int64_t length_of(const mbs_feed *f) {
    if (f->text) {
        return f->text_at < f->text_len ? (int64_t)strcspn(f->text + f->text_at, "\n") : -1;
    }
    /* A class is one row for the whole record. */
    int64_t most = strcmp(f->type, "class/f32") == 0 ? 1 : INT64_MAX;
    return f->record >= MBS_FEED_RECORDS ? -1 : f->lengths[f->record] < most ? f->lengths[f->record] : most;
}

static int begin(mbs_feed *f, int64_t length) {
    int64_t units = f->text ? length : f->lengths[f->record];
    char name[48];
    (void)snprintf(name, sizeof name, "line%lld", (long long)f->record + 1);
    mbs_record r = {.struct_size = sizeof r,
                    .strand = f->record % 2 ? '-' : '+',
                    .index = f->record,
                    .name = f->text ? name : f->names[f->record],
                    .start = f->text ? 0 : f->record * 10,
                    .length = units};
    mbs_record_free(f->copy);
    f->copy = mbs_record_copy(&r);
    return f->copy ? 0 : -1;
}

mbs_status mbs_feed_next(mbs_feed *f, int64_t rows, mbs_block **out) {
    int64_t length = length_of(f);
    if (length < 0) {
        return MBS_END;
    }
    if (f->row == 0 && begin(f, length)) {
        return MBS_ERR_MEMORY;
    }
    int64_t n = rows > 0 && rows < length - f->row ? rows : length - f->row;
    int64_t shape[2] = {n, f->width};
    mbs_block *b = mbs_block_new(f->type, f->dtype, f->width ? 2 : 1, shape);
    if (!b) {
        return MBS_ERR_MEMORY;
    }
    int64_t width = f->width ? f->width : 1;
    for (int64_t i = 0; i < n * width; i++) {
        uint32_t w[4];
        mbs_rng_words(f->seed, (uint64_t)f->record, (uint64_t)(f->row * width + i), w);
        if (f->text && f->dtype == MBS_U8) {
            ((uint8_t *)b->data)[i] = (uint8_t)f->text[f->text_at + (size_t)(f->row + i)];
        } else {
            put(f, b->data, i, w);
        }
    }
    int one = strcmp(f->type, "class/f32") == 0;
    mbs_block_hold_record(b, f->copy);
    b->start = f->copy->start + f->row;
    b->end = one ? f->copy->start + f->copy->length : b->start + n;
    b->flags = (f->row == 0 ? MBS_SEQ_START : 0u) | (f->row + n == length ? MBS_SEQ_END : 0u);
    f->row += n;
    if (b->flags & MBS_SEQ_END) {
        f->text_at += f->text ? (size_t)length + 1 : 0;
        f->record++;
        f->row = 0;
    }
    *out = b;
    return MBS_OK;
}
