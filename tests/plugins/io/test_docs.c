/* The examples of share/doc/formats.md run on what the writers make. */
#include <unistd.h>

#include "plugins/io/rig.h"
#include "support/test.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_hdf5;
extern const mbs_plugin_entry_table mbs_plugin_entry_table_writer;

static void genome(int64_t i, rig_record *r) {
    static const rig_record records[] = {{"chr1", 400, 0, 0, 0}, {"empty", 0, 0, 0, 0}, {"chr2", 70000, 10, 0, 1}};
    *r = records[i];
}

static const rig_stream scores = {.type = "score/f32", .dtype = MBS_F32, .width = 1, .n_records = 3, .record = genome};
static const rig_stream pooled = {
    .type = "embedding/f32", .dtype = MBS_F32, .width = 8, .n_records = 3, .record = genome, .pooled = 1};
static const rig_stream letters = {
    .type = "bases/u8", .dtype = MBS_U8, .n_records = 3, .record = genome, .generate = 1};

static void make(const char *folder, const char *file, const mbs_plugin_entry_table *plugin, const rig_stream *s) {
    static const mbs_attr unit = {"unit", "base"};
    char path[600];
    rig_stream with_unit = *s;
    with_unit.attrs = &unit;
    with_unit.n_attrs = 1;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    rig_make(plugin->descriptors[0], path, NULL, &with_unit, 4096);
}

static int run_examples(void *ctx) {
    execl("/usr/bin/python3", "python3", MBS_SOURCE_DIR "/tests/plugins/io/read_docs.py",
          MBS_SOURCE_DIR "/share/doc/formats.md", (const char *)ctx, (char *)NULL);
    return 77;
}

MBS_TEST(docs, examples_of_formats_run) {
    char folder[400], text[8000];
    rig_folder(folder, sizeof folder);
    make(folder, "scores.h5", &mbs_plugin_entry_hdf5, &scores);
    make(folder, "embeddings.h5", &mbs_plugin_entry_hdf5, &pooled);
    make(folder, "generated.h5", &mbs_plugin_entry_hdf5, &letters);
    make(folder, "scores.tsv", &mbs_plugin_entry_table_writer, &scores);
    make(folder, "scores.jsonl", &mbs_plugin_entry_table_writer, &scores);
    int rc = rig_child(run_examples, folder, text, sizeof text);
    rig_folder_remove(folder);
    if (rc == 77) {
        SKIP("no h5py (Debian: python3-h5py)");
    }
    CHECK(rc == 0, "%s", text);
}
