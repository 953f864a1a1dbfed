/* The header of what is written: that of the input, and a line that says how it came about. */
#include <htslib/sam.h>
#include <string.h>

#include "writer.h"

static mbs_status no_memory(const bm_writer *w) {
    return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a header");
}

/* A header value is one line of ASCII: the rest as \n, \t, \xNN. Nonzero without memory. */
static int escape(kstring_t *to, const char *text) {
    int bad = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n' || c == '\t' || c == '\\') {
            bad |= kputc('\\', to) < 0 || kputc(c == '\n' ? 'n' : c == '\t' ? 't' : '\\', to) < 0;
        } else if (c < ' ' || c > '~') {
            bad |= ksprintf(to, "\\x%02x", c) < 0;
        } else {
            bad |= kputc(c, to) < 0;
        }
    }
    return bad;
}

/* What can change a result and nothing else: the same run gives the same line. */
static mbs_status add_program(bm_writer *w) {
    static const char *const keys[] = {"model_sha256", "arithmetic", "dtype"};
    const char *version = mbs_header_attr(w->stream, "mambaseq_version");
    const char *pipeline = mbs_header_attr(w->stream, "pipeline");
    kstring_t command = KS_INITIALIZE;
    kstring_t ran = KS_INITIALIZE;
    int bad = kputs("mambaseq run ", &command) < 0 || escape(&command, pipeline ? pipeline : "");
    while (command.l > 2 && memcmp(command.s + command.l - 2, "\\n", 2) == 0) {
        command.s[command.l -= 2] = '\0';
    }
    const char *unit = w->unit == 1 ? "nats" : "bits";
    bad |= ksprintf(&ran, "%s:f is the mean log-probability of a scored base in %s", w->score, unit) < 0;
    if (w->models == 2) {
        bad |=
            ksprintf(&ran,
                     " under model %s, %s:f under model %s, %s:f the log-probability of the record under %s less that "
                     "under %s, in %s",
                     w->name[0], w->second, w->name[1], w->odds, w->name[0], w->name[1], unit) < 0;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = mbs_header_attr(w->stream, keys[i]);
        if (value) {
            bad |= ksprintf(&ran, "; %s=", keys[i]) < 0 || escape(&ran, value);
        }
    }
    if (!bad) {
        bad =
            sam_hdr_add_pg(w->hdr, "mambaseq", "VN", version ? version : "0", "CL", command.s, "DS", ran.s, NULL) != 0;
    }
    ks_free(&command);
    ks_free(&ran);
    return bad ? no_memory(w) : MBS_OK;
}

static mbs_status from_contigs(bm_writer *w) {
    kstring_t text = KS_INITIALIZE;
    int bad = kputs("@HD\tVN:1.6\n", &text) < 0;
    for (int64_t i = 0; i < w->stream->n_contigs; i++) {
        const mbs_contig *c = &w->stream->contigs[i];
        bad |= ksprintf(&text, "@SQ\tSN:%s\tLN:%lld\n", c->name, (long long)c->length) < 0;
    }
    w->hdr = bad ? NULL : sam_hdr_parse(text.l, text.s);
    ks_free(&text);
    return w->hdr ? MBS_OK : no_memory(w);
}

mbs_status bm_writer_header(bm_writer *w, const char *text, size_t n) {
    mbs_status st = MBS_OK;
    if (text) {
        w->hdr = sam_hdr_parse(n, text);
        st = w->hdr ? MBS_OK : w->host->fail(w->host, MBS_ERR_DATA, NULL, "the header of the input cannot be used");
    } else {
        st = from_contigs(w);
    }
    return st < 0 ? st : add_program(w);
}
