/* A place to continue a VCF from: bytes of the file, and of a compressed one the letters of the block that is not full
 * yet, so that blocks are cut where a run that was not stopped cuts them. The index is made of the whole file. */
#include <errno.h>
#include <fcntl.h>
#include <htslib/bgzf.h>
#include <htslib/hfile.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mambaseq/ext/checkpoint.h"
#include "writer.h"

typedef struct place {
    int64_t offset;  /* bytes of the file; 0: the header is not there yet */
    int64_t pending; /* letters behind this, to be compressed */
    int64_t n_tags, n_contigs;
    int64_t gap_state, gap_start, gap_end;
    float gap_whole;
    int32_t unused;
    uint64_t stood, put, each; /* bytes of the gap's texts behind the pending ones */
} place;

static mbs_status failed(const vf_writer *w, mbs_status st) {
    return w->host->fail(w->host, st, "path", "cannot go on in '%s': %s", w->path,
                         errno ? strerror(errno) : "it was cut off");
}

static int sync_file(const vf_writer *w) {
    int fd = open(w->temp, O_WRONLY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0;
    if (fd >= 0) {
        bad |= close(fd) != 0;
    }
    return bad;
}

/* Flushes the file and says where it stands. */
static mbs_status stand(vf_writer *w, place *p, const char **pending) {
    *pending = NULL;
    if (!w->fp) { /* as it was left, or not begun */
        p->offset = w->kept;
        p->pending = (int64_t)w->tail.l;
        *pending = w->tail.s;
        p->n_tags = w->n_tags;
        p->n_contigs = w->n_contigs;
        return MBS_OK;
    }
    BGZF *z = strcmp(w->mode, "w") == 0 ? NULL : w->fp->fp.bgzf;
    hFILE *f = z ? z->fp : w->fp->fp.hfile;
    errno = 0;
    if (hflush(f) != 0 || sync_file(w)) {
        return failed(w, MBS_ERR_IO);
    }
    p->offset = w->kept + (z ? z->block_address : (int64_t)htell(f));
    p->pending = z ? z->block_offset : 0;
    *pending = z ? z->uncompressed_block : NULL;
    p->n_tags = w->n_tags;
    p->n_contigs = w->n_contigs;
    return MBS_OK;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    vf_writer *w = self;
    const vf_gap *g = &w->gap;
    const char *pending = NULL;
    place p;
    memset(&p, 0, sizeof p);
    mbs_status st = stand(w, &p, &pending);
    p.gap_state = g->state;
    p.gap_start = g->start;
    p.gap_end = g->end;
    p.gap_whole = g->whole;
    p.stood = g->stood.l;
    p.put = g->put.l;
    p.each = g->each.l;
    const struct {
        const void *bytes;
        size_t n;
    } parts[] = {
        {&p, sizeof p}, {pending, (size_t)p.pending}, {g->stood.s, p.stood}, {g->put.s, p.put}, {g->each.s, p.each}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && st >= 0; i++) {
        st = parts[i].n ? put(sink, parts[i].bytes, parts[i].n) : st;
    }
    return st;
}

static int take(kstring_t *to, const char **at, const char *end, uint64_t n) {
    if (n > (uint64_t)(end - *at)) {
        return -1;
    }
    to->l = 0;
    int bad = n && kputsn(*at, (size_t)n, to) < 0;
    *at += n;
    return bad ? -1 : 0;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    vf_writer *w = self;
    place p;
    const char *at = (const char *)bytes + sizeof p;
    const char *end = (const char *)bytes + n;
    if (n < sizeof p) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path);
    }
    memcpy(&p, bytes, sizeof p);
    if (p.offset < 0 || p.pending < 0 || p.pending > BGZF_MAX_BLOCK_SIZE ||
        take(&w->tail, &at, end, (uint64_t)p.pending) || take(&w->gap.stood, &at, end, p.stood) ||
        take(&w->gap.put, &at, end, p.put) || take(&w->gap.each, &at, end, p.each)) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path);
    }
    struct stat sb;
    errno = 0;
    if (p.offset + p.pending > 0 && (stat(w->temp, &sb) != 0 || sb.st_size < p.offset)) {
        return failed(w, MBS_ERR_DATA);
    }
    w->kept = p.offset;
    w->resumed = p.offset + p.pending > 0;
    w->n_tags = (int)p.n_tags;
    w->n_contigs = (int)p.n_contigs;
    w->gap.state = (int)p.gap_state;
    w->gap.start = p.gap_start;
    w->gap.end = p.gap_end;
    w->gap.whole = p.gap_whole;
    return MBS_OK;
}

mbs_status vf_writer_go_on(vf_writer *w) {
    const char *mode = strcmp(w->mode, "w") == 0 ? "a" : strcmp(w->mode, "wz") == 0 ? "az" : "ab";
    w->resumed = 0;
    errno = 0;
    if (truncate(w->temp, (off_t)w->kept) != 0) {
        return failed(w, MBS_ERR_IO);
    }
    w->fp = hts_open(w->temp, mode);
    if (!w->fp || (w->tail.l && bgzf_write(w->fp->fp.bgzf, w->tail.s, w->tail.l) != (ssize_t)w->tail.l)) {
        return failed(w, MBS_ERR_IO);
    }
    w->tail.l = 0;
    return MBS_OK;
}

const mbs_ext_checkpoint vf_writer_checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};
