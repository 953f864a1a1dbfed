#include "plug/verify.h"

#include <math.h>
#include <string.h>

#include "plug/block.h"
#include "plug/instance.h"
#include "plug/least.h"

static int no(mbs_buf *why, const char *what) {
    mbs_buf_puts(why, what);
    return -1;
}

/* Dimensions that a type always has, 0 where it may have any. */
static int32_t dims_of(const char *type) {
    static const struct {
        const char *type;
        int32_t ndim;
    } known[] = {{"bases/u8", 1}, {"text/u8", 1}, {"tokens/i32", 1}, {"pcm/f32", 2}, {"edits", 2}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(type, known[i].type) == 0) {
            return known[i].ndim;
        }
    }
    return 0;
}

/* Types of which one row is one unit of the source. */
static int row_is_unit(const char *type) {
    return strcmp(type, "bases/u8") == 0 || strcmp(type, "text/u8") == 0 || strcmp(type, "pcm/f32") == 0;
}

static int verify_attrs(int64_t n, const mbs_attr *attrs, mbs_buf *why) {
    if (n < 0 || (n > 0 && !attrs)) {
        return no(why, "gave attributes that are not there");
    }
    for (int64_t i = 0; i < n; i++) {
        if (!attrs[i].key || !attrs[i].value) {
            return no(why, "gave an attribute without key or value");
        }
    }
    return 0;
}

int mbs_verify_header(const mbs_stream_header *h, const mbs_descriptor *d, mbs_buf *why) {
    if (!h) {
        return no(why, "gave no stream header");
    }
    if (h->struct_size < MBS_LEAST_HEADER) {
        return no(why, "gave a stream header whose struct_size is too small");
    }
    if (!h->type || strcmp(h->type, d->produces) != 0) {
        mbs_buf_printf(why, "gave a stream of type '%s', its descriptor says '%s'", h->type ? h->type : "(none)",
                       d->produces);
        return -1;
    }
    if (!h->unit) {
        return no(why, "gave a stream header without unit");
    }
    if (!isfinite(h->rate) || h->rate < 0 || h->channels < 1 || h->n_records < -1 || h->n_units < -1) {
        mbs_buf_printf(why, "gave a stream header with rate %g, %lld channels, %lld records, %lld units", h->rate,
                       (long long)h->channels, (long long)h->n_records, (long long)h->n_units);
        return -1;
    }
    if (h->n_sources < 0 || (h->n_sources > 0 && !h->sources) || h->n_contigs < 0 ||
        (h->n_contigs > 0 && !h->contigs)) {
        return no(why, "gave sources or contigs that are not there");
    }
    for (int64_t i = 0; i < h->n_sources; i++) {
        if (!h->sources[i].path) {
            return no(why, "gave a source without path");
        }
    }
    for (int64_t i = 0; i < h->n_contigs; i++) {
        if (!h->contigs[i].name || h->contigs[i].length < -1) {
            return no(why, "gave a contig without name or with a negative length");
        }
    }
    return verify_attrs(h->n_attrs, h->attrs, why);
}

static int special_ok(int32_t id, int32_t size) {
    return id >= -1 && id < size;
}

static int around_ok(const int32_t *ids, int32_t n, int32_t size) {
    if (n < 0 || n > MBS_AROUND_MAX || (n > 0 && !ids)) {
        return 0;
    }
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= size) {
            return 0;
        }
    }
    return 1;
}

int mbs_verify_vocab(const mbs_vocab *v, const mbs_descriptor *d, mbs_buf *why) {
    if (!v) {
        return strncmp(d->produces, "tokens/", 7) == 0 ? no(why, "gave no vocabulary for its tokens") : 0;
    }
    if (v->struct_size < MBS_LEAST_VOCAB || v->size < 1 || !v->name || !v->tokens || !v->decodable || !v->unit) {
        return no(why, "gave a vocabulary without size, name, tokens, decodable flags or unit");
    }
    if (!special_ok(v->unk, v->size) || !special_ok(v->bos, v->size) || !special_ok(v->eos, v->size) ||
        !special_ok(v->mask, v->size)) {
        return no(why, "gave a vocabulary with a special id outside of it");
    }
    if (MBS_TOLD(mbs_vocab, v, after) &&
        (!around_ok(v->before, v->n_before, v->size) || !around_ok(v->after, v->n_after, v->size))) {
        mbs_buf_printf(why, "gave more than %d tokens around a record, or one outside of its vocabulary",
                       MBS_AROUND_MAX);
        return -1;
    }
    for (int32_t i = 0; i < v->size; i++) {
        if (!v->tokens[i]) {
            mbs_buf_printf(why, "gave a vocabulary without a text for id %d", i);
            return -1;
        }
        if (v->complement && (v->complement[i] < 0 || v->complement[i] >= v->size)) {
            mbs_buf_printf(why, "gave a vocabulary in which the complement of id %d is %d, outside of it", i,
                           v->complement[i]);
            return -1;
        }
    }
    return 0;
}

static int verify_record(const mbs_record *r, mbs_buf *why) {
    if (!r) {
        return no(why, "gave a block without record");
    }
    if (r->struct_size < MBS_LEAST_RECORD || !r->name) {
        return no(why, "gave a record without name, or whose struct_size is too small");
    }
    if (r->strand != '+' && r->strand != '-' && r->strand != '.') {
        mbs_buf_printf(why, "gave a record with strand %d, must be '+', '-' or '.'", r->strand);
        return -1;
    }
    if (r->start < 0 || r->length < -1 || r->context < 0 || r->context > r->start || r->index < 0) {
        mbs_buf_printf(why, "gave a record %lld with start %lld, length %lld, context %lld", (long long)r->index,
                       (long long)r->start, (long long)r->length, (long long)r->context);
        return -1;
    }
    if (r->origin && (!r->origin->library || !r->origin->ref || !r->origin->unref)) {
        return no(why, "gave a record whose origin lacks library, ref or unref");
    }
    return verify_attrs(r->n_attrs, r->attrs, why);
}

int mbs_verify_block(const mbs_block *b, const char *type, mbs_buf *why) {
    if (!b) {
        return no(why, "said that it was done and gave no block");
    }
    if (!b->type || strcmp(b->type, type) != 0) {
        mbs_buf_printf(why, "gave a block of type '%s', its descriptor says '%s'", b->type ? b->type : "(none)", type);
        return -1;
    }
    int32_t dtype = mbs_type_dtype(type);
    if (dtype != 0 && b->dtype != dtype) {
        mbs_buf_printf(why, "gave elements of dtype %d in a block of '%s', which are %d", b->dtype, type, dtype);
        return -1;
    }
    int32_t ndim = dims_of(type);
    if (b->ndim < 1 || b->ndim > MBS_MAX_DIMS || (ndim != 0 && b->ndim != ndim)) {
        mbs_buf_printf(why, "gave a block of %d dimensions, '%s' has %d", b->ndim, type, ndim ? ndim : 1);
        return -1;
    }
    if (!mbs_block_is_sound(b)) {
        mbs_buf_printf(why, "gave a block of %lld rows that has room for %lld, or with its data or side channels moved",
                       (long long)b->shape[0], (long long)mbs_block_rows_made(b));
        return -1;
    }
    if (b->flags & ~(MBS_SEQ_START | MBS_SEQ_END)) {
        mbs_buf_printf(why, "gave a block with unknown flags 0x%x", b->flags);
        return -1;
    }
    if (b->start < 0 || b->end < b->start) {
        mbs_buf_printf(why, "gave a block from %lld to %lld", (long long)b->start, (long long)b->end);
        return -1;
    }
    if (b->n_sides < 0 || b->n_sides > MBS_MAX_SIDES) {
        mbs_buf_printf(why, "gave a block with %d side channels", b->n_sides);
        return -1;
    }
    return verify_record(b->record, why);
}

/* SEQ_START and the record's number: a record begins once, in order, and is not left before its end. */
static int verify_order(const mbs_block *b, const mbs_track *t, mbs_buf *why) {
    int starts = (b->flags & MBS_SEQ_START) != 0;
    if (t->in_record && starts) {
        mbs_buf_printf(why, "began a record before SEQ_END of record %lld", (long long)t->index);
        return -1;
    }
    if (!t->in_record && !starts) {
        return no(why, "gave the first block of a record without SEQ_START");
    }
    int64_t due = t->in_record ? t->index : t->index + 1;
    if (b->record->index != due) {
        mbs_buf_printf(why, "gave record number %lld, must be %lld", (long long)b->record->index, (long long)due);
        return -1;
    }
    return 0;
}

static int verify_length(const mbs_block *b, mbs_buf *why) {
    const mbs_record *r = b->record;
    int64_t got = b->end - r->start;
    if (r->length < 0 || !(b->flags & MBS_SEQ_END)) {
        return 0;
    }
    if (got != r->length) {
        mbs_buf_printf(why, "ended a record of length %lld after %lld", (long long)r->length, (long long)got);
        return -1;
    }
    return 0;
}

int mbs_verify_read(const mbs_block *b, const mbs_stream_header *h, int64_t max_rows, mbs_track *t, mbs_buf *why) {
    if (mbs_verify_block(b, h->type, why) || verify_order(b, t, why)) {
        return -1;
    }
    const mbs_record *r = b->record;
    int64_t rows = b->shape[0];
    if (rows > max_rows) {
        mbs_buf_printf(why, "gave %lld rows where at most %lld were asked for", (long long)rows, (long long)max_rows);
        return -1;
    }
    if (rows == 0 && !(b->flags & MBS_SEQ_END)) {
        return no(why, "gave a block without rows in the middle of a record");
    }
    if (h->n_sources > 0 && (r->source < 0 || r->source >= h->n_sources)) {
        mbs_buf_printf(why, "gave a record of source %lld of %lld", (long long)r->source, (long long)h->n_sources);
        return -1;
    }
    if (strcmp(b->type, "pcm/f32") == 0 && b->shape[1] != h->channels) {
        mbs_buf_printf(why, "gave %lld channels, its header says %lld", (long long)b->shape[1], (long long)h->channels);
        return -1;
    }
    int64_t due = t->in_record ? t->at : r->start - r->context;
    if (b->start != due) {
        mbs_buf_printf(why, "gave a block that starts at %lld, must be %lld", (long long)b->start, (long long)due);
        return -1;
    }
    if (row_is_unit(b->type) && b->end - b->start != rows) {
        mbs_buf_printf(why, "gave %lld rows for the %lld units from %lld to %lld", (long long)rows,
                       (long long)(b->end - b->start), (long long)b->start, (long long)b->end);
        return -1;
    }
    if (verify_length(b, why)) {
        return -1;
    }
    t->in_record = !(b->flags & MBS_SEQ_END);
    t->index = r->index;
    t->at = b->end;
    return 0;
}

int mbs_verify_end(const mbs_track *t, mbs_buf *why) {
    if (t->in_record) {
        mbs_buf_printf(why, "ended the stream before SEQ_END of record %lld", (long long)t->index);
        return -1;
    }
    return 0;
}

static int verify_ids(const mbs_block *b, const mbs_vocab *v, mbs_buf *why) {
    const int32_t *ids = b->data;
    for (int64_t i = 0; i < b->shape[0]; i++) {
        if (ids[i] >= v->size) {
            mbs_buf_printf(why, "gave token %d at row %lld, its vocabulary has %d", ids[i], (long long)i, v->size);
            return -1;
        }
    }
    return 0;
}

int mbs_verify_encoded(const mbs_block *b, const mbs_block *in, const char *type, const mbs_vocab *v, mbs_track *t,
                       mbs_buf *why) {
    if (!b) {
        return in->flags & MBS_SEQ_END ? no(why, "was given SEQ_END and did not end the record") : 0;
    }
    if (mbs_verify_block(b, type, why)) {
        return -1;
    }
    if (b->record != in->record && b->record->index != in->record->index) {
        mbs_buf_printf(why, "gave a block of record %lld for one of record %lld", (long long)b->record->index,
                       (long long)in->record->index);
        return -1;
    }
    int starts = (b->flags & MBS_SEQ_START) != 0;
    int ends = (b->flags & MBS_SEQ_END) != 0;
    if (starts == t->in_record) {
        return no(why, starts ? "set SEQ_START twice in a record" : "began a record without SEQ_START");
    }
    if (ends != ((in->flags & MBS_SEQ_END) != 0)) {
        return no(why, ends ? "set SEQ_END before its input did" : "was given SEQ_END and did not set it");
    }
    int64_t least = t->in_record ? t->at : in->record->start - in->record->context;
    if (b->start < least || b->end > in->end) {
        mbs_buf_printf(why, "gave a block from %lld to %lld, must lie between %lld and %lld", (long long)b->start,
                       (long long)b->end, (long long)least, (long long)in->end);
        return -1;
    }
    if (v && b->dtype == MBS_I32 && strncmp(type, "tokens/", 7) == 0 && verify_ids(b, v, why)) {
        return -1;
    }
    t->in_record = !ends;
    t->index = b->record->index;
    t->at = b->start; /* windows may overlap: starts never go back, ends may lie behind the next start */
    return 0;
}
