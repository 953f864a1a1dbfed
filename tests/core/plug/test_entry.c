#include "support/test.h"

#define ZOO_ID "good"
#include "plug/registry.h"
#include "zoo/zoo.h"

/* A good entry in pieces that a test may spoil. */
typedef struct kit {
    mbs_reader_vt vt;
    mbs_param params[2];
    mbs_descriptor desc;
    const mbs_descriptor *list[2];
    mbs_plugin_entry_table entry;
    mbs_err err;
} kit;

static kit *fresh(kit *k) {
    *k = (kit){
        .vt = {.struct_size = sizeof k->vt,
               .create = zoo_create,
               .open = zoo_open,
               .read = zoo_read,
               .close = zoo_close,
               .destroy = zoo_destroy},
        .desc = ZOO_DESCRIPTOR(&k->vt),
        .list = {&k->desc, NULL},
        .entry = {.struct_size = sizeof k->entry,
                  .abi_major = MBS_ABI_MAJOR,
                  .abi_minor = MBS_ABI_MINOR,
                  .n_descriptors = 1,
                  .descriptors = k->list},
    };
    memcpy(k->params, zoo_params, sizeof k->params);
    k->desc.params = k->params;
    return k;
}

static void refused(kit *k, const char *words) {
    mbs_err_clear(&k->err);
    CHECK_INT(mbs_entry_check(&k->entry, "/x/mbsp_good.so", &k->err), MBS_ERR_UNAVAILABLE);
    CHECK_STR(k->err.where, "/x/mbsp_good.so");
    CHECK(strstr(k->err.what, words), "\"%s\" is not in \"%s\"", words, k->err.what);
    CHECK(k->err.fix[0] != '\0');
}

static void taken(kit *k) {
    mbs_err_clear(&k->err);
    CHECK(mbs_entry_check(&k->entry, "/x/mbsp_good.so", &k->err) == MBS_OK, "%s", k->err.what);
}

MBS_TEST(entry, a_good_one_is_taken) {
    kit k;
    taken(fresh(&k));
}

MBS_TEST(entry, versions) {
    kit k;
    fresh(&k)->entry.abi_major = MBS_ABI_MAJOR + 1;
    refused(&k, "speaks plugin interface 2.1, this program 1.1");
    CHECK(strstr(k.err.fix, "newer mambaseq"));
    fresh(&k)->entry.min_host_minor = 7;
    refused(&k, "needs plugin interface 1.7, this program has 1.1");
    CHECK(strstr(k.err.fix, "newer mambaseq"));
    fresh(&k)->entry.abi_minor = 99; /* newer, and content with this host */
    taken(&k);
    /* The version is told even where the rest of another major's entry has another shape. */
    fresh(&k)->entry.abi_major = 3;
    k.entry.struct_size = 16;
    refused(&k, "speaks plugin interface 3.1");
}

MBS_TEST(entry, sizes) {
    kit k;
    fresh(&k)->entry.struct_size = 4;
    refused(&k, "struct_size");
    fresh(&k)->entry.struct_size = sizeof k.entry + 64;
    taken(&k);
    fresh(&k)->desc.struct_size = 8;
    refused(&k, "a descriptor's struct_size");
    fresh(&k)->desc.struct_size = sizeof k.desc + 8;
    taken(&k);
    fresh(&k)->vt.struct_size = 16;
    refused(&k, "the table's struct_size");
    fresh(&k)->params[0].struct_size = 0;
    refused(&k, "a parameter's struct_size");
    fresh(&k)->params[1].struct_size = sizeof(mbs_param) + 8;
    refused(&k, "a parameter's struct_size");
}

MBS_TEST(entry, promises) {
    kit k;
    fresh(&k)->entry.n_descriptors = 0;
    refused(&k, "offers nothing");
    fresh(&k)->entry.descriptors = NULL;
    refused(&k, "offers nothing");
    fresh(&k)->entry.n_descriptors = 1000000;
    refused(&k, "too many descriptors");
    fresh(&k)->entry.n_descriptors = 2;
    refused(&k, "a descriptor is NULL");
    k.list[1] = &k.desc;
    refused(&k, "twice");
    fresh(&k)->desc.vt = NULL;
    refused(&k, "no function table");
    fresh(&k)->vt.read = NULL;
    refused(&k, "a function is missing: read");
    fresh(&k)->vt.destroy = NULL;
    refused(&k, "a function is missing: destroy");
    fresh(&k)->desc.n_params = 1u << 31;
    refused(&k, "too many parameters");
    fresh(&k)->desc.params = NULL;
    refused(&k, "promised and not there");
}

MBS_TEST(entry, names) {
    static const char *const bad[] = {"", "Fasta", "a b", "a/b", "../x", "-x", ".x", "_x", "a..b", "a\nb"};
    kit k;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fresh(&k)->desc.id = bad[i];
        refused(&k, "an id is not");
    }
    fresh(&k)->desc.id = NULL;
    refused(&k, "an id is not");
    fresh(&k)->desc.id = "org.my-lab.fasta_2";
    taken(&k);
    fresh(&k)->desc.summary = "";
    refused(&k, "summary");
    fresh(&k)->desc.produces = NULL;
    refused(&k, "produces");
    fresh(&k)->desc.produces = "bases/u8 pcm/f32";
    refused(&k, "produces");
    fresh(&k)->desc.produces = "*";
    refused(&k, "produces");
}

MBS_TEST(entry, parameters) {
    kit k;
    fresh(&k)->params[0].key = "Path";
    refused(&k, "key");
    fresh(&k)->params[0].key = "plugin";
    refused(&k, "must not be called");
    fresh(&k)->params[1].key = "path";
    refused(&k, "twice: path");
    fresh(&k)->params[0].type = 77;
    refused(&k, "type that this program does not know");
    fresh(&k)->params[0].help = NULL;
    refused(&k, "no help");
    fresh(&k)->params[0].type = MBS_PARAM_ENUM;
    refused(&k, "no words");
    fresh(&k)->params[1].def = "lots";
    refused(&k, "flank is 'lots', must be a whole number");
    fresh(&k)->params[1].def = "-1";
    refused(&k, "flank is -1, must be 0..1e12 bases");
    fresh(&k)->params[1].max = -1;
    refused(&k, "range is empty");
    fresh(&k)->params[1].flags |= MBS_PARAM_F_REQUIRED;
    refused(&k, "a required parameter has a default");
    fresh(&k)->params[1].flags |= MBS_PARAM_F_OUTPUT;
    refused(&k, "an output but no path");
}

/* What a newer host will know (filters, say) is no reason to refuse the rest of a library. */
MBS_TEST(entry, unknown_kinds_are_passed_by) {
    kit k;
    mbs_descriptor filter = {.struct_size = sizeof filter, .kind = MBS_KIND_FILTER};
    fresh(&k)->list[1] = &filter;
    k.entry.n_descriptors = 2;
    taken(&k);
}

static mbs_status no_encode(void *self, const mbs_block *in, mbs_block **out) {
    (void)self;
    (void)in;
    *out = NULL;
    return MBS_OK;
}

static mbs_status no_open(void *self, const mbs_stream_header *in) {
    (void)self;
    (void)in;
    return MBS_OK;
}

MBS_TEST(entry, a_codec_that_decodes_has_decode) {
    kit k;
    mbs_codec_vt vt = {.struct_size = sizeof vt,
                       .create = zoo_create,
                       .open = no_open,
                       .encode = no_encode,
                       .close = zoo_close,
                       .destroy = zoo_destroy};
    fresh(&k)->desc.kind = MBS_KIND_CODEC;
    k.desc.vt = &vt;
    k.desc.produces = "tokens/i32";
    refused(&k, "accepts");
    k.desc.accepts = "bases/u8 pcm/f32";
    taken(&k);
    k.desc.accepts = "bases/u8  pcm/f32";
    refused(&k, "accepts");
    k.desc.accepts = "*";
    k.desc.decodes = "bases/u8";
    refused(&k, "a function is missing: decode");
}
