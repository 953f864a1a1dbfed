#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bedgraph.h"
#include "io/rowfile/number.h"

static mbs_status put(bg_lines *l, const void *text, size_t n) {
    if (!l->bgzf) {
        return mbs_spool_append(l->out, text, n);
    }
    if (bgzf_write(l->bgzf, text, n) != (ssize_t)n) {
        return l->host->fail(l->host, MBS_ERR_IO, "path", "cannot write '%s': %s", l->out->name, strerror(errno));
    }
    return MBS_OK;
}

mbs_status bg_lines_end(bg_lines *l) {
    if (!l->open) {
        return MBS_OK;
    }
    char text[3 * MBS_NUMBER_MAX + 4];
    size_t n = 0;
    text[n++] = '\t';
    n += mbs_number_int(text + n, l->start);
    text[n++] = '\t';
    n += mbs_number_int(text + n, l->end);
    text[n++] = '\t';
    n += mbs_number_f32(text + n, l->value);
    text[n++] = '\n';
    l->open = 0;
    mbs_status st = put(l, l->name, strlen(l->name));
    return st < 0 ? st : put(l, text, n);
}

mbs_status bg_lines_add(bg_lines *l, const char *contig, int64_t start, const float *v, int64_t n) {
    mbs_status st = MBS_OK;
    for (int64_t i = 0; st == MBS_OK && i < n; i++) {
        if (isnan(v[i])) {
            st = bg_lines_end(l);
            continue;
        }
        if (l->open && l->end == start + i && memcmp(&l->value, &v[i], sizeof(float)) == 0 &&
            strcmp(l->name, contig) == 0) {
            l->end++;
            continue;
        }
        st = bg_lines_end(l);
        l->name = contig;
        l->start = start + i;
        l->end = start + i + 1;
        l->value = v[i];
        l->open = 1;
    }
    return st;
}
