/* What a file of variants holds, for `mambaseq inspect`: it is read through once, without its reference. */
#include <stdio.h>
#include <string.h>

#include "reader.h"

typedef struct tally {
    int64_t records, alleles, contigs;
    int64_t snv, indel, other;
} tally;

static void tally_record(tally *t, const vf_record *v, int begins) {
    const bcf1_t *b = v->b;
    t->records++;
    t->contigs += begins;
    t->alleles += b->n_allele - 1;
    for (int i = 1; i < b->n_allele; i++) {
        size_t ref = strlen(b->d.allele[0]);
        size_t alt = strlen(b->d.allele[i]);
        int letters = strspn(b->d.allele[i], "ACGTNacgtn") == alt;
        if (letters && ref == 1 && alt == 1) {
            t->snv++;
        } else if (letters && ref != alt) {
            t->indel++;
        } else {
            t->other++;
        }
    }
}

static mbs_status describe(const mbs_host *host, const char *path,
                           void (*put)(void *sink, const char *key, const char *value), void *sink) {
    vf_reader r;
    tally t;
    char text[96];
    memset(&r, 0, sizeof r);
    memset(&t, 0, sizeof t);
    r.host = host;
    r.path = path;
    mbs_status st = vf_input_open(&r, &r.in);
    int32_t rid = -1;
    int samples = st == MBS_OK ? bcf_hdr_nsamples(r.in.head->hdr) : 0;
    int declared = st == MBS_OK ? r.in.head->hdr->n[BCF_DT_CTG] : 0;
    while (st == MBS_OK && !r.in.ended) {
        st = vf_input_peek(&r, &r.in);
        if (st == MBS_OK && host->cancelled(host)) {
            st = host->fail(host, MBS_ERR_STOPPED, NULL, "stopped");
        }
        vf_record *v = st == MBS_OK ? vf_input_take(&r.in) : NULL;
        if (v) {
            tally_record(&t, v, v->b->rid != rid);
            rid = v->b->rid;
            vf_record_unref(v);
        }
    }
    vf_input_close(&r.in);
    host->free(host, r.in.seen);
    if (st != MBS_OK) {
        return st;
    }
    const struct {
        const char *key;
        long long n;
    } facts[] = {{"records", t.records}, {"alleles", t.alleles}, {"snvs", t.snv},
                 {"indels", t.indel},    {"other", t.other},     {"samples", samples}};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        (void)snprintf(text, sizeof text, "%lld", facts[i].n);
        put(sink, facts[i].key, text);
    }
    (void)snprintf(text, sizeof text, "%d in the header, %lld with variants", declared, (long long)t.contigs);
    put(sink, "contigs", text);
    put(sink, "to run", "reader.reference: the FASTA that the variants were called on");
    return MBS_OK;
}

const mbs_ext_inspect vf_inspect = {.struct_size = (uint32_t)sizeof(mbs_ext_inspect), .describe = describe};
