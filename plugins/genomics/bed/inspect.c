/* What a .bed holds, for `mambaseq inspect`: its windows, without the reference that they lie on. */
#include <stdio.h>
#include <string.h>

#include "reader.h"

typedef struct tally {
    int64_t windows, bases, minus;
    int64_t shortest, longest;
} tally;

static mbs_status take(void *ctx, const hu_query *q) {
    tally *t = ctx;
    int64_t n = q->end - q->beg;
    t->shortest = t->windows == 0 || n < t->shortest ? n : t->shortest;
    t->longest = n > t->longest ? n : t->longest;
    t->windows++;
    t->bases += n;
    t->minus += q->strand == '-';
    return MBS_OK;
}

static mbs_status describe(const mbs_host *host, const char *path,
                           void (*put)(void *sink, const char *key, const char *value), void *sink) {
    tally t;
    char text[96];
    memset(&t, 0, sizeof t);
    hu_regions lines = {.host = host, .param = "path", .ctx = &t, .take = take, .stranded = 1};
    mbs_status st = hu_bed_read(&lines, path);
    if (st != MBS_OK) {
        return st;
    }
    const struct {
        const char *key;
        int64_t n;
    } facts[] = {{"windows", t.windows},
                 {"bases", t.bases},
                 {"shortest", t.shortest},
                 {"longest", t.longest},
                 {"minus strand", t.minus}};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        (void)snprintf(text, sizeof text, "%lld", (long long)facts[i].n);
        put(sink, facts[i].key, text);
    }
    put(sink, "to run", "reader.reference: the FASTA that the windows lie on");
    return MBS_OK;
}

const mbs_ext_inspect bd_inspect = {.struct_size = (uint32_t)sizeof(mbs_ext_inspect), .describe = describe};
