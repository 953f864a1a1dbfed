/* Files, headers, the end of a file and its index. */
#include <errno.h>
#include <fcntl.h>
#include <htslib/bgzf.h>
#include <htslib/hfile.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "genomics/htsutil/bytes.h"
#include "reader.h"

const char *bm_show(const bm_reader *r) {
    return fa_show(r->paths[r->file]);
}

static int is_stream(const char *path) {
    return strcmp(path, "-") == 0;
}

void bm_close_file(bm_reader *r) {
    hts_itr_destroy(r->itr);
    hts_idx_destroy(r->idx);
    sam_hdr_destroy(r->hdr);
    if (r->fp) {
        (void)hts_close(r->fp); /* reading: what could fail has failed before */
    }
    r->itr = NULL;
    r->idx = NULL;
    r->hdr = NULL;
    r->fp = NULL;
}

static mbs_status cannot_open(const bm_reader *r, int e) {
    char words[96];
    return r->host->fail(r->host, e == ENOMEM ? MBS_ERR_MEMORY : MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s",
                         bm_show(r), strerror_r(e, words, sizeof(words)));
}

/* A path is a file here, whatever URL it looks like, unless the network is allowed. */
static mbs_status open_bytes(bm_reader *r, hFILE **out) {
    const mbs_host *h = r->host;
    const char *path = r->paths[r->file];
    if (hisremote(path)) {
        if (!r->allow_network) {
            mbs_status st = h->fail(h, MBS_ERR_NOINPUT, "path", "%s: lies on the network", path);
            h->hint(h, "download it, or write allow_network: true");
            return st;
        }
        *out = hopen(path, "r");
        return *out ? MBS_OK : cannot_open(r, errno);
    }
    int fd = is_stream(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        int e = fd < 0 ? errno : EISDIR;
        if (fd >= 0) {
            (void)close(fd);
        }
        return cannot_open(r, e);
    }
    *out = hdopen(fd, "r");
    if (!*out) {
        int e = errno;
        (void)close(fd);
        return cannot_open(r, e);
    }
    return MBS_OK;
}

static mbs_status check_kind(const bm_reader *r) {
    const mbs_host *h = r->host;
    const htsFormat *f = hts_get_format(r->fp);
    if (f->format == sam || f->format == bam || f->format == cram) {
        return MBS_OK;
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, "path", "%s: is no SAM, BAM or CRAM file", bm_show(r));
    if (f->format == fasta_format || f->format == fastq_format) {
        h->hint(h, "it looks like FASTA or FASTQ: reader: {plugin: fasta}");
    }
    return st;
}

mbs_status bm_end_missing(bm_reader *r) {
    const mbs_host *h = r->host;
    if (r->allow_truncated) {
        h->log(h, MBS_LOGLEVEL_WARNING, "%s: truncated: the end-of-file block is missing; read as far as it goes",
               bm_show(r));
        r->no_end = 1;
        return MBS_OK;
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, "path", "%s: truncated: the end-of-file block is missing", bm_show(r));
    h->hint(h, "copy or make the file again; allow_truncated: true reads what is there");
    return st;
}

static mbs_status give_threads(bm_reader *r) {
    const mbs_host *h = r->host;
    int n = (int)h->helpers(h);
    const htsFormat *f = hts_get_format(r->fp);
    if (n > 0 && f->format != sam && hts_set_threads(r->fp, n) != 0) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "%s: %d threads that decompress cannot be started", bm_show(r), n);
    }
    return MBS_OK;
}

static mbs_status keep_header(bm_reader *r) {
    const char *text = sam_hdr_str(r->hdr);
    if (!text || bm_pool_header(r->pool, text, sam_hdr_length(r->hdr)) != 0) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for the header of %s", bm_show(r));
    }
    return MBS_OK;
}

/* An index that is older than its data may miss records. */
static void warn_of_age(const bm_reader *r) {
    static const char *const suffixes[] = {".bai", ".csi", ".crai"};
    const char *path = r->paths[r->file];
    char beside[4200];
    struct stat own;
    struct stat data;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        int n = snprintf(beside, sizeof(beside), "%s%s", path, suffixes[i]);
        if (n > 0 && n < (int)sizeof(beside) && stat(beside, &own) == 0 && stat(path, &data) == 0 &&
            own.st_mtim.tv_sec < data.st_mtim.tv_sec) {
            r->host->log(r->host, MBS_LOGLEVEL_WARNING, "%s is older than %s", beside, path);
        }
    }
}

static mbs_status load_index(bm_reader *r) {
    const mbs_host *h = r->host;
    const char *path = r->paths[r->file];
    int plain = hts_get_format(r->fp)->format == sam && hts_get_format(r->fp)->compression != bgzf;
    r->idx = is_stream(path) || plain ? NULL : sam_index_load3(r->fp, path, NULL, HTS_IDX_SILENT_FAIL);
    if (r->idx) {
        warn_of_age(r);
        return bm_select_regions(r);
    }
    mbs_status st =
        h->fail(h, MBS_ERR_NOINPUT, "regions", "%s: regions need an index, and there is none that fits it", bm_show(r));
    h->hint(h, plain ? "samtools sort -o x.bam %s && samtools index x.bam" : "samtools index %s (after samtools sort)",
            path);
    return st;
}

mbs_status bm_open_file(bm_reader *r, int64_t file) {
    const mbs_host *h = r->host;
    bm_close_file(r);
    r->file = file;
    r->n_read = 0;
    r->no_end = 0;
    r->n_unknown = 0;
    r->unknown[0] = '\0';
    hFILE *bytes = NULL;
    mbs_status st = open_bytes(r, &bytes);
    if (st != MBS_OK) {
        return st;
    }
    r->fp = hts_hopen(bytes, r->paths[file], "r");
    if (!r->fp) {
        int e = errno;
        hclose_abruptly(bytes);
        return e == ENOMEM ? cannot_open(r, e)
                           : h->fail(h, MBS_ERR_DATA, "path", "%s: is no SAM, BAM or CRAM file", bm_show(r));
    }
    st = check_kind(r);
    if (st == MBS_OK && hts_check_EOF(r->fp) == 0) {
        st = bm_end_missing(r);
    }
    st = st == MBS_OK ? give_threads(r) : st;
    if (st == MBS_OK && r->reference && hts_get_format(r->fp)->format == sam) {
        char fai[4200]; /* names and lengths for a SAM without @SQ lines */
        int n = snprintf(fai, sizeof(fai), "%s.fai", r->reference);
        if (n > 0 && n < (int)sizeof(fai)) {
            (void)hts_set_fai_filename(r->fp, fai);
        }
    }
    if (st == MBS_OK && !(r->hdr = sam_hdr_read(r->fp))) {
        st = h->fail(h, MBS_ERR_DATA, "path", "%s: its header cannot be read: truncated or damaged", bm_show(r));
    }
    st = st == MBS_OK ? keep_header(r) : st;
    st = st == MBS_OK ? bm_reference(r) : st;
    return st == MBS_OK && r->by_region ? load_index(r) : st;
}

/* Contigs of the open file are those of the stream. */
static mbs_status take_contigs(bm_reader *r) {
    const mbs_host *h = r->host;
    int n = sam_hdr_nref(r->hdr);
    size_t bytes = 0;
    for (int i = 0; i < n; i++) {
        bytes += strlen(sam_hdr_tid2name(r->hdr, i)) + 1;
    }
    r->contigs = h->alloc(h, ((size_t)n + 1) * sizeof(*r->contigs));
    r->names = h->alloc(h, bytes + 1);
    if (!r->contigs || !r->names) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for the names of %d contigs", n);
    }
    char *at = r->names;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(sam_hdr_tid2name(r->hdr, i)) + 1;
        memcpy(at, sam_hdr_tid2name(r->hdr, i), len);
        r->contigs[i] = (mbs_contig){at, (int64_t)sam_hdr_tid2len(r->hdr, i)};
        at += len;
    }
    r->header.contigs = r->contigs;
    r->header.n_contigs = n;
    return MBS_OK;
}

static int same_contigs(const bm_reader *r) {
    int same = sam_hdr_nref(r->hdr) == r->header.n_contigs;
    for (int i = 0; same && i < sam_hdr_nref(r->hdr); i++) {
        same = strcmp(sam_hdr_tid2name(r->hdr, i), r->contigs[i].name) == 0 &&
               (int64_t)sam_hdr_tid2len(r->hdr, i) == r->contigs[i].length;
    }
    return same;
}

static void take_order(bm_reader *r) {
    kstring_t order = KS_INITIALIZE;
    if (sam_hdr_find_tag_hd(r->hdr, "SO", &order) == 0 && order.l < sizeof(r->order)) {
        memcpy(r->order, order.s, order.l + 1);
        r->attr = (mbs_attr){HU_SORT_ORDER, r->order};
        r->header.attrs = &r->attr;
        r->header.n_attrs = 1;
    }
    ks_free(&order);
}

mbs_status bm_open_all(bm_reader *r) {
    r->header = (mbs_stream_header){
        .struct_size = (uint32_t)sizeof(mbs_stream_header),
        .type = "bases/u8",
        .unit = "base",
        .channels = 1,
        .n_records = -1,
        .n_units = -1,
        .n_sources = r->n_files,
        .sources = r->sources,
    };
    int differ = 0;
    mbs_status st = MBS_OK;
    for (int64_t i = 0; st == MBS_OK && i < r->n_files; i++) {
        r->sources[i].path = r->paths[i];
        st = bm_open_file(r, i);
        if (st == MBS_OK && i == 0) {
            st = take_contigs(r);
            if (r->n_files == 1) {
                take_order(r);
            }
        } else if (st == MBS_OK) {
            differ |= !same_contigs(r);
        }
    }
    if (differ) {
        r->header.n_contigs = 0;
        r->host->log(r->host, MBS_LOGLEVEL_INFO, "the files have different contigs");
    }
    return st == MBS_OK && r->n_files > 1 ? bm_open_file(r, 0) : st;
}
