/* Qualities stand behind the letters: a record is held until both were read. */
#include <string.h>

#include "reader.h"

mbs_status fa_quality_hold(fa_reader *r) {
    const mbs_host *h = r->host;
    fa_parser *p = &r->parser;
    if (p->format != FA_FASTQ) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, "quality", "%s is FASTA: it has no qualities", fa_show(r->files[r->file].path));
        h->hint(h, "leave quality out");
        return st;
    }
    r->held.len = r->qualities.len = 0;
    mbs_status st = MBS_OK;
    for (int end = 0; st == MBS_OK && !end;) {
        int64_t n = 0;
        st = fa_parse_letters(p, r->window, FA_WINDOW, &n, &end);
        st = st == MBS_OK ? fa_text_add(h, &r->held, r->window, (size_t)n) : st;
        if (st == MBS_OK && h->cancelled(h)) {
            st = h->fail(h, MBS_ERR_STOPPED, NULL, "stopped while reading a record");
        }
    }
    for (size_t i = 0; st == MBS_OK && i < r->qualities.len; i++) {
        if (r->qualities.s[i] < '!') {
            st = fa_parse_fail(p, "a blank among the qualities");
        }
    }
    r->record.length = (int64_t)r->held.len;
    return st;
}

void fa_quality_letters(fa_reader *r, int64_t max, int64_t *n, int *end) {
    int64_t left = (int64_t)r->held.len - r->position;
    *n = left < max ? left : max;
    *end = *n == left;
    if (*n > 0) {
        memcpy(r->window, r->held.s + r->position, (size_t)*n);
    }
}

mbs_status fa_quality_side(fa_reader *r, mbs_block *block) {
    uint8_t *to = r->host->block_side(r->host, block, "quality", MBS_U8, 1);
    if (!to) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %lld qualities", (long long)block->shape[0]);
    }
    for (int64_t i = 0; i < block->shape[0]; i++) {
        to[i] = (uint8_t)(r->qualities.s[r->position + i] - '!');
    }
    return MBS_OK;
}
