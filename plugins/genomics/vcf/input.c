/* The file: opened, looked at, read in its order. */
#include <errno.h>
#include <fcntl.h>
#include <htslib/hfile.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "genomics/htsutil/bytes.h"
#include "reader.h"

enum { VCF_COLUMNS = 8 };

static mbs_status cannot_open(const vf_reader *r, int e) {
    char words[96];
    return r->host->fail(r->host, e == ENOMEM ? MBS_ERR_MEMORY : MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s",
                         fa_show(r->path), strerror_r(e, words, sizeof(words)));
}

/* A path is a file here, whatever URL it looks like. */
static mbs_status open_bytes(const vf_reader *r, hFILE **out) {
    const mbs_host *h = r->host;
    int is_stream = strcmp(r->path, "-") == 0;
    int fd = is_stream ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(r->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        int e = fd < 0 ? errno : EISDIR;
        if (fd >= 0) {
            (void)close(fd);
        }
        return cannot_open(r, e);
    }
    if (r->strands & MBS_EDIT_MINUS && !S_ISREG(st.st_mode)) {
        (void)close(fd);
        mbs_status rc =
            h->fail(h, MBS_ERR_CONFIG, "path", "%s: both strands need a file that can be read twice", fa_show(r->path));
        h->hint(h, "write it to a file first, or take model.strand: '+'");
        return rc;
    }
    *out = hdopen(fd, "r");
    if (!*out) {
        int e = errno;
        (void)close(fd);
        return cannot_open(r, e);
    }
    return MBS_OK;
}

static mbs_status check_end(const vf_reader *r, vf_input *in) {
    const mbs_host *h = r->host;
    if (hts_check_EOF(in->fp) != 0) {
        return MBS_OK;
    }
    if (r->allow_truncated) {
        if (in == &r->in) {
            h->log(h, MBS_LOGLEVEL_WARNING, "%s: truncated: the end-of-file block is missing; read as far as it goes",
                   fa_show(r->path));
        }
        return MBS_OK;
    }
    mbs_status st =
        h->fail(h, MBS_ERR_DATA, "path", "%s: truncated: the end-of-file block is missing", fa_show(r->path));
    h->hint(h, "copy or make the file again; allow_truncated: true reads what is there");
    return st;
}

mbs_status vf_input_open(vf_reader *r, vf_input *in) {
    const mbs_host *h = r->host;
    hFILE *bytes = NULL;
    in->rid = -1;
    mbs_status st = open_bytes(r, &bytes);
    if (st != MBS_OK) {
        return st;
    }
    in->fp = hts_hopen(bytes, r->path, "r");
    if (!in->fp) {
        hclose_abruptly(bytes);
        return h->fail(h, MBS_ERR_DATA, "path", "%s: is no VCF or BCF file", fa_show(r->path));
    }
    const htsFormat *f = hts_get_format(in->fp);
    if (f->format != vcf && f->format != bcf) {
        return h->fail(h, MBS_ERR_DATA, "path", "%s: is no VCF or BCF file", fa_show(r->path));
    }
    st = check_end(r, in);
    bcf_hdr_t *hdr = st == MBS_OK ? bcf_hdr_read(in->fp) : NULL;
    if (st == MBS_OK && !hdr) {
        st = h->fail(h, MBS_ERR_DATA, "path", "%s: its header cannot be read: truncated or damaged", fa_show(r->path));
    }
    in->head = hdr ? vf_head_new(hdr) : NULL;
    return st == MBS_OK && !in->head ? h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a header") : st;
}

void vf_input_close(vf_input *in) {
    vf_record_unref(in->ahead);
    vf_head_unref(in->head);
    if (in->fp) {
        (void)hts_close(in->fp); /* reading: what could fail has failed before */
    }
    in->ahead = NULL;
    in->head = NULL;
    in->fp = NULL;
}

const char *vf_contig(const vf_input *in, int32_t rid) {
    const char *name = rid >= 0 && rid < in->head->hdr->n[BCF_DT_CTG] ? bcf_hdr_id2name(in->head->hdr, rid) : NULL;
    return name ? name : "?";
}

void vf_show(const vf_record *v, char *to, size_t n) {
    const char *contig = bcf_seqname_safe(v->head->hdr, v->b);
    const char *id = v->b->d.id;
    int named = id && strcmp(id, ".") != 0;
    (void)snprintf(to, n, "%.100s:%lld%s%.100s%s", contig, (long long)v->b->pos + 1, named ? " (" : "", named ? id : "",
                   named ? ")" : "");
}

static mbs_status unsorted(const vf_reader *r, const vf_input *in, const vf_record *v, const char *why) {
    const mbs_host *h = r->host;
    char shown[256];
    vf_show(v, shown, sizeof(shown));
    mbs_status st = h->fail(h, MBS_ERR_DATA, "path", "%s: is not sorted: record %lld, %s, %s", fa_show(r->path),
                            (long long)in->n, shown, why);
    h->hint(h, "bcftools sort -o sorted.vcf.gz %s", fa_show(r->path));
    return st;
}

/* Every contig once, and in it by position. */
static mbs_status check_order(const vf_reader *r, vf_input *in, const vf_record *v) {
    const mbs_host *h = r->host;
    int32_t rid = v->b->rid;
    if (rid == in->rid) {
        int back = (int64_t)v->b->pos < in->pos;
        in->pos = v->b->pos;
        return back ? unsorted(r, in, v, "lies before the one in front of it") : MBS_OK;
    }
    if (rid >= in->n_seen) {
        int64_t n = (int64_t)rid + 64;
        uint8_t *seen = h->realloc(h, in->seen, (size_t)n);
        if (!seen) {
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld contigs", (long long)n);
        }
        memset(seen + in->n_seen, 0, (size_t)(n - in->n_seen));
        in->seen = seen;
        in->n_seen = n;
    }
    if (in->seen[rid]) {
        return unsorted(r, in, v, "is of a contig that was over");
    }
    in->seen[rid] = 1;
    in->rid = rid;
    in->pos = v->b->pos;
    return MBS_OK;
}

static mbs_status damaged(const vf_reader *r, const vf_input *in, const char *what) {
    return r->host->fail(r->host, MBS_ERR_DATA, "path", "%s: record %lld %s, behind %s:%lld", fa_show(r->path),
                         (long long)in->n + 1, what, in->rid < 0 ? "the header" : vf_contig(in, in->rid),
                         in->rid < 0 ? 0LL : (long long)in->pos + 1);
}

/* As bcf_read, but `wrong` (else "") says of a line of text what htslib would not: it leaves in columns that were cut
 * off what the record before had there, and takes a POS that is no number for 0. */
static int read_record(vf_input *in, bcf1_t *b, char *wrong, size_t n) {
    *wrong = '\0';
    if (in->fp->format.format != vcf) {
        return bcf_read(in->fp, in->head->hdr, b);
    }
    kstring_t *line = &in->fp->line;
    const int got = hts_getline(in->fp, '\n', line);
    if (got < 0) {
        return got;
    }
    int columns = 1;
    for (size_t i = 0; i < line->l && columns < VCF_COLUMNS; i++) {
        columns += line->s[i] == '\t';
    }
    if (columns < VCF_COLUMNS) {
        (void)snprintf(wrong, n, "has %d of the %d columns of a VCF", columns, VCF_COLUMNS);
        return 0;
    }
    const char *pos = (const char *)memchr(line->s, '\t', line->l) + 1;
    const size_t digits = strspn(pos, "0123456789");
    if (digits == 0 || pos[digits] != '\t') {
        const size_t len = strcspn(pos, "\t");
        (void)snprintf(wrong, n, "has a POS that is no number, '%.*s'", (int)(len < 40 ? len : 40), pos);
        return 0;
    }
    return vcf_parse(line, in->head->hdr, b);
}

mbs_status vf_input_peek(vf_reader *r, vf_input *in) {
    const mbs_host *h = r->host;
    if (in->ahead || in->ended) {
        return MBS_OK;
    }
    vf_record *v = vf_record_new(in->head);
    if (!v) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a record");
    }
    char what[128];
    int got = read_record(in, v->b, what, sizeof what);
    if (*what) {
        mbs_status cut = damaged(r, in, what);
        h->hint(h, "the file was cut off or damaged: get it again, or take the line out");
        vf_record_unref(v);
        return cut;
    }
    /* What the header does not declare was added to it; that is no reason to refuse a record. */
    int bad = v->b->errcode & ~(BCF_ERR_CTG_UNDEF | BCF_ERR_TAG_UNDEF);
    mbs_status st = MBS_OK;
    if (got < -1 || (got >= 0 && (bad || v->b->rid < 0 || bcf_unpack(v->b, BCF_UN_STR) < 0 || v->b->n_allele < 1))) {
        st = damaged(r, in, got < -1 ? "cannot be read: truncated or damaged" : "is damaged");
    } else if (got == -1) {
        in->ended = 1;
    } else {
        v->b->errcode = 0;
        v->index = in->n++;
        st = check_order(r, in, v);
    }
    if (st != MBS_OK || in->ended) {
        vf_record_unref(v);
        return st;
    }
    in->ahead = v;
    return MBS_OK;
}

vf_record *vf_input_take(vf_input *in) {
    vf_record *v = in->ahead;
    in->ahead = NULL;
    return v;
}
