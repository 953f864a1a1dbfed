/*
 * Where the sequences of a CRAM come from, and whether the contigs are those of the reference that was given.
 *
 * htslib looks for a contig that `reference` does not have by its checksum (REF_CACHE, REF_PATH, and where that is not
 * set a server on the network), then under the UR of its @SQ line, which may be a URL. Without allow_network a contig
 * keeps of these only what leads to a file of this machine.
 */
#include <ctype.h>
#include <htslib/cram.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "genomics/htsutil/index.h"
#include "reader.h"

enum { HELD = 1, ABSENT = 2 }; /* of bm_reader.held; 0: not looked at */

static int is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* An M5 tag is 32 hexadecimal digits; what a header says may be anything. */
static int is_md5(const char *text) {
    return strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32;
}

/* A path of REF_CACHE for a checksum: %2s takes its next two characters, %s what is left; without any it is appended.
 */
static int cached(const char *form, const char *md5) {
    char path[4200];
    size_t n = 0;
    int placed = 0;
    for (const char *at = form; *at && n + 40 < sizeof(path); at++) {
        size_t digits = strspn(at + (*at == '%'), "0123456789");
        if (*at != '%' || at[1 + digits] != 's') {
            path[n++] = *at;
            continue;
        }
        size_t len = strlen(md5);
        size_t take = digits ? strtoul(at + 1, NULL, 10) : len;
        take = take < len ? take : len;
        memcpy(path + n, md5, take);
        n += take;
        md5 += take;
        at += 1 + digits;
        placed = 1;
    }
    int wrote = snprintf(path + n, sizeof(path) - n, "%s%s", placed ? "" : "/", *md5 && !placed ? md5 : "");
    return wrote >= 0 && n + (size_t)wrote < sizeof(path) && is_file(path);
}

/* Does one of the folders of REF_PATH, with colons between, have it? */
static int in_folders(const char *search, const char *md5) {
    char form[4200];
    for (const char *at = search; *at;) {
        size_t n = 0;
        while (*at && (*at != ':' || at[1] == ':')) {
            at += at[0] == ':'; /* two are one that stands for itself */
            form[n < sizeof(form) - 1 ? n++ : n] = *at++;
        }
        form[n] = '\0';
        if (n && cached(form, md5)) {
            return 1;
        }
        at += *at == ':';
    }
    return 0;
}

/* Will htslib find it by checksum without the network? */
static int found_by_checksum(const char *md5) {
    const char *cache = getenv("REF_CACHE");
    const char *search = getenv("REF_PATH");
    char own[4200];
    if (!is_md5(md5)) {
        return 0;
    }
    if (search && *search && !strstr(search, "://") && !strstr(search, "URL=")) {
        return in_folders(search, md5) || (cache && *cache && cached(cache, md5)); /* nothing but folders */
    }
    if ((!search || !*search) && (!cache || !*cache)) {
        const char *xdg = getenv("XDG_CACHE_HOME");
        const char *home = getenv("HOME");
        (void)snprintf(own, sizeof(own), "%s%s/hts-ref/%%2s/%%2s/%%s",
                       xdg && *xdg ? xdg
                       : home      ? home
                                   : "",
                       xdg && *xdg ? "" : "/.cache");
        cache = own;
    }
    return cache && *cache && cached(cache, md5);
}

static int local_uri(const char *uri) {
    return is_file(strncmp(uri, "file:", 5) == 0 ? uri + 5 : uri);
}

/* Takes away what would lead to the network; counts contigs that nothing is left of. */
static mbs_status keep_local(bm_reader *r, sam_hdr_t *hdr, const char *name) {
    kstring_t text = KS_INITIALIZE;
    int left = 0;
    int failed = 0;
    if (sam_hdr_find_tag_id(hdr, "SQ", "SN", name, "M5", &text) == 0) {
        if (found_by_checksum(text.s)) {
            left = 1;
        } else {
            failed |= sam_hdr_remove_tag_id(hdr, "SQ", "SN", name, "M5") < 0;
        }
    }
    if (sam_hdr_find_tag_id(hdr, "SQ", "SN", name, "UR", &text) == 0) {
        if (local_uri(text.s)) {
            left = 1;
        } else {
            failed |= sam_hdr_remove_tag_id(hdr, "SQ", "SN", name, "UR") < 0;
        }
    }
    ks_free(&text);
    if (!left && r->n_unknown++ == 0) {
        (void)snprintf(r->unknown, sizeof(r->unknown), "%s", name);
    }
    return failed ? r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for the header of %s", bm_show(r)) : MBS_OK;
}

static mbs_status other_length(const bm_reader *r, const char *name, int64_t own, int64_t theirs) {
    const mbs_host *h = r->host;
    mbs_status st = h->fail(h, MBS_ERR_DATA, "reference",
                            "contig '%.100s' has %lld bases in %s and %lld in %s: not the reference of this file", name,
                            (long long)own, bm_show(r), (long long)theirs, r->reference);
    h->hint(h, "give the FASTA that the reads were aligned to");
    return st;
}

static mbs_status other_name(const bm_reader *r, const char *own, const char *theirs) {
    const mbs_host *h = r->host;
    mbs_status st = h->fail(h, MBS_ERR_DATA, "reference", "%s calls '%.100s' what %s calls '%.100s'", bm_show(r), own,
                            r->reference, theirs);
    h->hint(h, "samtools reheader gives the file the names of the FASTA (with or without 'chr')");
    return st;
}

static mbs_status none_in_common(const bm_reader *r, const fa_index *x) {
    const mbs_host *h = r->host;
    for (int i = 0; i < sam_hdr_nref(r->hdr); i++) {
        const char *own = sam_hdr_tid2name(r->hdr, i);
        const char *theirs = fa_index_by_chr(x, own);
        if (theirs) {
            return other_name(r, own, theirs);
        }
    }
    return h->fail(h, MBS_ERR_DATA, "reference", "no contig of %s is in %s: '%.100s' there, '%.100s' here", bm_show(r),
                   r->reference, fa_index_name(x, 0), sam_hdr_tid2name(r->hdr, 0));
}

/* Names and lengths of the file against those of the FASTA; a CRAM's contigs that it lacks go to keep_local. */
static mbs_status compare(bm_reader *r, const fa_index *x, sam_hdr_t *cram_hdr) {
    const mbs_host *h = r->host;
    int common = 0;
    int n = sam_hdr_nref(r->hdr);
    h->free(h, r->held);
    r->held = x ? h->alloc(h, (size_t)n + 1) : NULL;
    mbs_status st = !x || r->held ? MBS_OK : h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %d contigs", n);
    for (int i = 0; st == MBS_OK && i < n; i++) {
        const char *name = sam_hdr_tid2name(r->hdr, i);
        int64_t at = -1;
        if (x && fa_index_find(x, name, strlen(name), &at) > 0) {
            int64_t length = (int64_t)sam_hdr_tid2len(r->hdr, i);
            common++;
            r->held[i] = 0;
            st = x->list[at].length == length ? MBS_OK : other_length(r, name, length, x->list[at].length);
        } else {
            if (x) {
                r->held[i] = cram_hdr ? HELD : ABSENT; /* a CRAM finds it elsewhere */
            }
            st = cram_hdr && !r->allow_network ? keep_local(r, cram_hdr, name) : MBS_OK;
        }
    }
    return st == MBS_OK && x && n > 0 && common == 0 ? none_in_common(r, x) : st;
}

/* ---- sequences ---- */

static mbs_status open_fasta(bm_reader *r) {
    const mbs_host *h = r->host;
    mbs_status st = hu_reference_open(&r->fasta, h, r->reference, "reference");
    if (st != MBS_OK) {
        return st;
    }
    size_t n = (size_t)(r->fasta.index.n + 1) * sizeof(*r->sums);
    r->sums = h->alloc(h, n);
    if (!r->sums) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for the checksums of %s", r->reference);
    }
    memset(r->sums, 0, n);
    return MBS_OK;
}

/* As the M5 of an @SQ line: of capital letters. */
static mbs_status sum_up(bm_reader *r, int64_t entry) {
    const mbs_host *h = r->host;
    uint8_t letters[16384];
    hts_md5_context *md5 = hts_md5_init();
    mbs_status st = md5 ? MBS_OK : h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a checksum");
    const int64_t length = r->fasta.index.list[entry].length;
    for (int64_t at = 0, n; st == MBS_OK && at < length; at += n) {
        n = length - at < (int64_t)sizeof(letters) ? length - at : (int64_t)sizeof(letters);
        st = hu_reference_read(&r->fasta, entry, at, n, letters);
        for (int64_t i = 0; st == MBS_OK && i < n; i++) {
            letters[i] = (uint8_t)toupper(letters[i]);
        }
        if (st == MBS_OK) {
            hts_md5_update(md5, letters, (unsigned long)n);
        }
    }
    if (md5) {
        hts_md5_final(r->sums[entry].md5, md5);
        hts_md5_destroy(md5);
    }
    r->sums[entry].known = st == MBS_OK;
    return st;
}

static mbs_status other_sequence(const bm_reader *r, const char *name, const char *theirs, const char *own) {
    const mbs_host *h = r->host;
    mbs_status st = h->fail(h, MBS_ERR_DATA, "reference",
                            "contig '%.100s' of %s is another sequence than that of %s: MD5 %s, and M5 %s", name,
                            r->reference, bm_show(r), theirs, own);
    h->hint(h, "give the FASTA that the reads were aligned to");
    return st;
}

/* The M5 of a contig against its sequence, where the header has one. */
static mbs_status check_sum(bm_reader *r, const char *name) {
    kstring_t own = KS_INITIALIZE;
    int64_t at = -1;
    char theirs[33];
    mbs_status st = MBS_OK;
    if (sam_hdr_find_tag_id(r->hdr, "SQ", "SN", name, "M5", &own) == 0 && is_md5(own.s)) {
        st = r->sums ? MBS_OK : open_fasta(r);
        if (st == MBS_OK && fa_index_find(&r->fasta.index, name, strlen(name), &at) > 0) {
            st = r->sums[at].known ? MBS_OK : sum_up(r, at);
            hts_md5_hex(theirs, r->sums[at].md5);
            st = st == MBS_OK && strcasecmp(theirs, own.s) != 0 ? other_sequence(r, name, theirs, own.s) : st;
        }
    }
    ks_free(&own);
    return st;
}

mbs_status bm_hold(bm_reader *r, int32_t tid, const char *read) {
    const mbs_host *h = r->host;
    const char *name = sam_hdr_tid2name(r->hdr, tid);
    if (r->held[tid] == ABSENT) {
        mbs_status st = r->sums ? MBS_OK : open_fasta(r);
        const char *theirs = st == MBS_OK ? fa_index_by_chr(&r->fasta.index, name) : NULL;
        if (st != MBS_OK || theirs) {
            return st != MBS_OK ? st : other_name(r, name, theirs);
        }
        st = h->fail(h, MBS_ERR_DATA, "reference", "%s: read '%.100s' lies on '%.100s', which %s does not have",
                     bm_show(r), read, name, r->reference);
        h->hint(h, "give the FASTA that the reads were aligned to, or take regions: of contigs that it has");
        return st;
    }
    if (r->held[tid] == HELD) {
        return MBS_OK;
    }
    r->held[tid] = HELD;
    return check_sum(r, name);
}

mbs_status bm_blame(bm_reader *r) {
    mbs_status st = MBS_OK;
    for (int i = 0; st == MBS_OK && i < sam_hdr_nref(r->hdr); i++) {
        st = r->held[i] ? MBS_OK : check_sum(r, sam_hdr_tid2name(r->hdr, i));
    }
    return st;
}

void bm_reference_free(bm_reader *r) {
    const mbs_host *h = r->host;
    hu_reference_close(&r->fasta);
    h->free(h, r->sums);
    h->free(h, r->held);
}

static mbs_status load(bm_reader *r, fa_index *x) {
    const mbs_host *h = r->host;
    fa_bytes in;
    mbs_status st = fa_bytes_open(&in, h, r->reference, "reference");
    if (st != MBS_OK) {
        return st;
    }
    st = fa_index_load(x, &in, INT64_MAX);
    fa_bytes_close(&in);
    if (st == MBS_END) {
        st = h->fail(h, MBS_ERR_NOINPUT, "reference", "%s: has no index that can be used", r->reference);
        h->hint(h, "samtools faidx %s", r->reference);
    }
    return st == MBS_OK ? fa_index_sort(h, x) : st;
}

mbs_status bm_reference(bm_reader *r) {
    const mbs_host *h = r->host;
    int is_cram = hts_get_format(r->fp)->format == cram;
    fa_index x;
    memset(&x, 0, sizeof(x));
    mbs_status st = r->reference ? load(r, &x) : MBS_OK;
    if (st == MBS_OK) {
        st = compare(r, r->reference ? &x : NULL, is_cram ? cram_fd_get_header(r->fp->fp.cram) : NULL);
    }
    if (st == MBS_OK && is_cram && r->reference && hts_set_fai_filename(r->fp, r->reference) != 0) {
        st = h->fail(h, MBS_ERR_NOINPUT, "reference", "%s: cannot be used for %s", r->reference, bm_show(r));
    }
    fa_index_free(h, &x);
    return st;
}
