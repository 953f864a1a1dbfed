/* Verifies that what pair_reader sent arrived: the contigs before the first record, and each origin, which it keeps
 * until the end as a writer of another thread might. Writes a line for each record. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mambaseq/plugin.h"
#include "zoo/pair.h"

typedef struct writer {
    const mbs_host *host;
    const char *temp;
    FILE *f;
    int64_t records, rows, next;
    mbs_origin **kept;
    size_t n_kept;
} writer;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    writer *w = host->alloc(host, sizeof *w);
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory");
    }
    memset(w, 0, sizeof *w);
    w->host = host;
    mbs_status rc = host->output(host, host->param_string(params, "path"), MBS_OUTPUT_FILE, NULL, &w->temp);
    if (rc == MBS_OK && !w->temp) {
        rc = host->fail(host, MBS_ERR_CONFIG, "path", "standard output is not for this writer");
    }
    if (rc != MBS_OK) {
        host->free(host, w);
        return rc;
    }
    *self = w;
    return MBS_OK;
}

static mbs_status open_file(void *self, const mbs_stream_header *h) {
    writer *w = self;
    int attr = 0;
    if (h->n_contigs != PAIR_CONTIGS) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "%lld contigs arrived", (long long)h->n_contigs);
    }
    w->f = fopen(w->temp, "wb");
    if (!w->f) {
        return w->host->fail(w->host, MBS_ERR_CREATE, "path", "%s: %s", w->temp, strerror(errno));
    }
    for (int i = 0; i < PAIR_CONTIGS; i++) {
        if (strcmp(h->contigs[i].name, pair_contig_names[i]) != 0 || h->contigs[i].length != pair_contig_lengths[i]) {
            return w->host->fail(w->host, MBS_ERR_DATA, NULL, "contig %d arrived as %s of %lld", i, h->contigs[i].name,
                                 (long long)h->contigs[i].length);
        }
        (void)fprintf(w->f, "contig\t%s\t%" PRId64 "\n", h->contigs[i].name, h->contigs[i].length);
    }
    for (int64_t i = 0; i < h->n_attrs; i++) {
        attr += strcmp(h->attrs[i].key, PAIR_ATTR_KEY) == 0 && strcmp(h->attrs[i].value, PAIR_ATTR_VALUE) == 0;
    }
    if (attr != 1) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the attribute %s arrived %d times", PAIR_ATTR_KEY, attr);
    }
    return MBS_OK;
}

static mbs_status keep(writer *w, mbs_origin *o) {
    mbs_origin **grown = w->host->realloc(w->host, w->kept, (w->n_kept + 1) * sizeof *grown);
    if (!grown) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory");
    }
    w->kept = grown;
    o->ref(o);
    w->kept[w->n_kept++] = o;
    return MBS_OK;
}

static mbs_status check_record(writer *w, const mbs_record *r) {
    const mbs_host *host = w->host;
    const mbs_origin *o = r->origin;
    char name[32];
    char value[32];
    (void)snprintf(name, sizeof name, "read%lld", (long long)r->index);
    (void)snprintf(value, sizeof value, "%lld", (long long)r->index * 3);
    if (r->index != w->next++) {
        return host->fail(host, MBS_ERR_DATA, NULL, "record %lld arrived out of order", (long long)r->index);
    }
    if (strcmp(r->name, name) != 0 || r->start != 100 || r->strand != (r->index % 2 ? '-' : '+') ||
        (r->description != NULL) != (r->index % 3 == 0) || !r->label || strcmp(r->label, "pair") != 0) {
        return host->fail(host, MBS_ERR_DATA, NULL, "record %s arrived changed", r->name);
    }
    if (r->n_attrs != 1 || strcmp(r->attrs[0].key, "three_times") != 0 || strcmp(r->attrs[0].value, value) != 0) {
        return host->fail(host, MBS_ERR_DATA, NULL, "attributes of record %s arrived changed", r->name);
    }
    if (!o || strcmp(o->library, PAIR_LIBRARY) != 0) {
        return host->fail(host, MBS_ERR_DATA, NULL, "the origin of record %s did not arrive", r->name);
    }
    const pair_record *p = o->data;
    int wrong = p->magic != PAIR_MAGIC || p->number != r->index;
    for (int i = 0; i < (int)sizeof p->raw; i++) {
        wrong |= p->raw[i] != (uint8_t)(i * 7 + r->index);
    }
    if (wrong) {
        return host->fail(host, MBS_ERR_DATA, NULL, "the origin of record %s arrived changed", r->name);
    }
    return MBS_OK;
}

static mbs_status write_block(void *self, const mbs_block *b) {
    writer *w = self;
    mbs_status rc = MBS_OK;
    if (b->flags & MBS_SEQ_START) {
        w->rows = 0;
        rc = check_record(w, b->record);
        rc = rc == MBS_OK ? keep(w, b->record->origin) : rc;
    }
    w->rows += b->shape[0];
    if (rc == MBS_OK && b->flags & MBS_SEQ_END) {
        w->records++;
        (void)fprintf(w->f, "record\t%s\t%lld\n", b->record->name, (long long)w->rows);
    }
    return rc;
}

static mbs_status drain(void *self) {
    writer *w = self;
    (void)fprintf(w->f, "end\t%lld\n", (long long)w->records);
    return MBS_OK;
}

static mbs_status close_file(void *self) {
    writer *w = self;
    FILE *f = w->f;
    w->f = NULL;
    if (fclose(f) != 0) {
        return w->host->fail(w->host, MBS_ERR_IO, "path", "%s: %s", w->temp, strerror(errno));
    }
    return MBS_OK;
}

static void destroy(void *self) {
    writer *w = self;
    for (size_t i = 0; i < w->n_kept; i++) {
        w->kept[i]->unref(w->kept[i]);
    }
    if (w->f) {
        (void)fclose(w->f);
    }
    w->host->free(w->host, w->kept);
    w->host->free(w->host, w);
}

static const mbs_param params[] = {MBS_PARAM_OUTPUT("path", "a line for each record that arrived")};
static const mbs_writer_vt vt = {.struct_size = sizeof vt,
                                 .create = create,
                                 .open = open_file,
                                 .write = write_block,
                                 .drain = drain,
                                 .close = close_file,
                                 .destroy = destroy};
static const mbs_descriptor descriptor = {.struct_size = sizeof descriptor,
                                          .kind = MBS_KIND_WRITER,
                                          .id = ZOO_ID,
                                          .version = "1.0.0",
                                          .licence = "MIT",
                                          .summary = "verifies what pair_reader sent",
                                          .flags = MBS_DESC_ORIGIN,
                                          .accepts = "*",
                                          .n_params = 1,
                                          .params = params,
                                          .vt = &vt};
static const mbs_descriptor *const list[] = {&descriptor};
MBS_PLUGIN_DEFINE(pair_writer, list, NULL);
