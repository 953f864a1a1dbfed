/* The schemas of configs/schema are what the plugins of this tree say. MBS_UPDATE=1 in the environment rewrites them.
 */
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "pipe/json_schema.h"
#include "support/test.h"

#define FOLDER MBS_SOURCE_DIR "/configs/schema/"

/* The stages of a kind in a schema, each with the plugin that it is for. */
static const mbs_json *stages(const mbs_json *root, const char *kind) {
    return mbs_json_get(mbs_json_get(mbs_json_get(root, "definitions"), kind), "allOf");
}

static const char *plugin_of(const mbs_json *stage) {
    mbs_err err;
    mbs_err_clear(&err);
    const mbs_json *properties = mbs_json_get(mbs_json_get(stage, "then"), "properties");
    return mbs_json_string(mbs_json_get(properties, "plugin"), "const", "", &err);
}

/* Whether every plugin of a kind in `a` is in `b`. */
static int all_in(const mbs_json *a, const mbs_json *b, const char *kind) {
    for (size_t i = 0; i < mbs_json_len(stages(a, kind)); i++) {
        int found = 0;
        for (size_t k = 0; k < mbs_json_len(stages(b, kind)); k++) {
            found |=
                strcmp(plugin_of(mbs_json_at(stages(a, kind), i)), plugin_of(mbs_json_at(stages(b, kind), k))) == 0;
        }
        if (!found) {
            return 0;
        }
    }
    return 1;
}

static void parse(const char *name, const char *text, size_t len, mbs_json **root) {
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_json_parse(name, text, len, root, &err) == MBS_OK, "%s", err.what);
}

static void compare(const char *file, mbs_status (*make)(mbs_registry *r, mbs_buf *out, mbs_err *err)) {
    /* Only what was built here: not what somebody installed. */
    setenv("HOME", "/nonexistent", 1);
    setenv("MAMBASEQ_PLUGIN_PATH", "", 1);
    mbs_err err;
    mbs_err_clear(&err);
    mbs_registry *registry = mbs_registry_new(NULL, 0, &err);
    CHECK(registry != NULL, "%s", err.what);
    mbs_buf now = MBS_BUF_INIT;
    CHECK(make(registry, &now, &err) == MBS_OK, "%s", err.what);
    mbs_registry_free(registry);
    mbs_json *fresh = NULL;
    mbs_json *kept = NULL;
    parse("schema", now.data, now.len, &fresh);
    if (getenv("MBS_UPDATE")) {
        CHECK(mbs_path_write_atomic(file, now.data, now.len, &err) == MBS_OK, "%s", err.what);
    }
    char *old = NULL;
    size_t len = 0;
    CHECK(mbs_path_read(file, 1 << 20, &old, &len, &err) == MBS_OK, "%s", err.what);
    parse(file, old, len, &kept);
    CHECK(mbs_json_len(stages(kept, "reader")) > 0 && mbs_json_len(stages(kept, "codec")) > 0, "plugins are missing");
    if (!all_in(kept, fresh, "reader") || !all_in(kept, fresh, "codec") || !all_in(kept, fresh, "writer")) {
        SKIP("not all plugins are built here");
    }
    CHECK(strcmp(old, now.data) == 0, "%s is not what the plugins say: run MBS_UPDATE=1 tests/test_pipe_schema", file);
    mbs_json_free(kept);
    mbs_json_free(fresh);
    mbs_free(old);
    mbs_buf_free(&now);
}

MBS_TEST(json_schema, of_pipelines_is_what_the_plugins_say) {
    compare(FOLDER "pipeline.json", mbs_plan_json_schema);
}

MBS_TEST(json_schema, of_recipes_is_what_the_tables_say) {
    compare(FOLDER "recipe.json", mbs_recipe_json_schema);
}
