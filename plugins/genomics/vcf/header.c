/* The header of what is written: that of the input, what our values mean, and how they came about. */
#include <string.h>

#include "writer.h"

static mbs_status no_memory(const vf_writer *w) {
    return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a header");
}

/* A header line holds no line ends. Nonzero without memory. */
static int escape(kstring_t *to, const char *text) {
    int bad = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n' || c == '\t' || c == '\\') {
            bad |= kputc('\\', to) < 0 || kputc(c == '\n' ? 'n' : c == '\t' ? 't' : '\\', to) < 0;
        } else if (c < ' ') {
            bad |= ksprintf(to, "\\x%02x", c) < 0;
        } else {
            bad |= kputc(c, to) < 0;
        }
    }
    return bad;
}

static int append(bcf_hdr_t *hdr, const kstring_t *line, int bad) {
    return bad || bcf_hdr_append(hdr, line->s) < 0;
}

/* What MSQ_LLR is, in whole: window, strands, sign and model. */
static int describe(vf_writer *w) {
    const char *window = mbs_header_attr(w->stream, "window");
    const char *strand = mbs_header_attr(w->stream, "strand");
    const char *model = mbs_header_attr(w->stream, "model_sha256");
    const char *which = !strand || strcmp(strand, "both") == 0 ? "mean of both strands"
                        : strcmp(strand, "-") == 0             ? "strand - only"
                                                               : "strand + only";
    kstring_t line = KS_INITIALIZE;
    const char *kind = mbs_header_attr(w->stream, "prediction");
    int masked = kind && strcmp(kind, "masked") == 0;
    int bad = ksprintf(&line,
                       "##INFO=<ID=" VF_LLR ",Number=A,Type=Float,Description=\"ln P(ALT) - ln P(REF) in nats "
                       "%s%s%s, %s; negative: less likely than the reference; model %.64s\">",
                       masked ? "at the site, its bases masked together, seen with " : "over the site and the ",
                       window ? window : "?", masked ? " bases on both sides" : " following bases", which,
                       model ? model : "?") < 0;
    bad = append(w->hdr, &line, bad);
    line.l = 0;
    bad |= kputs("##INFO=<ID=" VF_WHY ",Number=.,Type=String,Description=\"why there is no " VF_LLR
                 ", a word for each ALT and . where there is one: symbolic (it says no bases), mismatch (REF is not "
                 "what the reference has), unknown (letters that the model does not know), first (nothing predicts "
                 "the first base of a strand), length (a masked model compares substitutions only), no_alt\">",
                 &line) < 0;
    bad = append(w->hdr, &line, bad);
    ks_free(&line);
    return bad;
}

/* What can change a result and nothing else: the same run gives the same line. */
static int say_command(vf_writer *w) {
    static const char *const keys[] = {"mambaseq_version", "model_sha256", "arithmetic", "dtype"};
    const char *pipeline = mbs_header_attr(w->stream, "pipeline");
    kstring_t line = KS_INITIALIZE;
    int bad = kputs("##mambaseq_Command=mambaseq run ", &line) < 0 || escape(&line, pipeline ? pipeline : "");
    while (line.l > 2 && memcmp(line.s + line.l - 2, "\\n", 2) == 0) {
        line.s[line.l -= 2] = '\0';
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = mbs_header_attr(w->stream, keys[i]);
        bad |= value && (ksprintf(&line, "; %s=", keys[i]) < 0 || escape(&line, value));
    }
    bad = append(w->hdr, &line, bad);
    ks_free(&line);
    return bad;
}

static bcf_hdr_t *from_contigs(const vf_writer *w) {
    bcf_hdr_t *hdr = bcf_hdr_init("w");
    kstring_t line = KS_INITIALIZE;
    int bad = !hdr;
    for (int64_t i = 0; i < w->stream->n_contigs && !bad; i++) {
        const mbs_contig *c = &w->stream->contigs[i];
        line.l = 0;
        bad = ksprintf(&line, "##contig=<ID=%s,length=%lld>", c->name, (long long)c->length) < 0 ||
              bcf_hdr_append(hdr, line.s) < 0;
    }
    ks_free(&line);
    if (bad && hdr) {
        bcf_hdr_destroy(hdr);
    }
    return bad ? NULL : hdr;
}

mbs_status vf_writer_header(vf_writer *w, const bcf_hdr_t *from) {
    if (w->hdr) {
        bcf_hdr_destroy(w->hdr);
    }
    w->hdr = from ? bcf_hdr_dup(from) : from_contigs(w);
    if (!w->hdr) {
        return no_memory(w);
    }
    w->n_tags = from ? from->n[BCF_DT_ID] : 0;
    w->n_contigs = from ? from->n[BCF_DT_CTG] : 0;
    bcf_hdr_remove(w->hdr, BCF_HL_INFO, VF_LLR); /* of an earlier run, with another meaning */
    bcf_hdr_remove(w->hdr, BCF_HL_INFO, VF_WHY);
    int bad = (w->fills ? vf_fills_describe(w) : describe(w)) || say_command(w) || bcf_hdr_sync(w->hdr) < 0;
    return bad ? no_memory(w) : MBS_OK;
}
