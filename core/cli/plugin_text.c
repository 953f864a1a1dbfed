#include "cli/plugin_text.h"

#include <string.h>

#include "base/json.h"
#include "cli/report.h"
#include "opt/value.h"
#include "plug/params.h"
#include "plug/registry.h"

static const char *const type_words[] = {
    [MBS_PARAM_BOOL] = "true or false", [MBS_PARAM_INT] = "whole number",
    [MBS_PARAM_FLOAT] = "number",       [MBS_PARAM_STRING] = "text",
    [MBS_PARAM_PATH] = "file",          [MBS_PARAM_ENUM] = "word",
    [MBS_PARAM_SIZE] = "whole number",  [MBS_PARAM_DURATION] = "time",
    [MBS_PARAM_LIST] = "list",          [MBS_PARAM_PATHS] = "file, list of files, or glob"};
static const char *const type_names[] = {
    [MBS_PARAM_BOOL] = "bool",     [MBS_PARAM_INT] = "int",           [MBS_PARAM_FLOAT] = "float",
    [MBS_PARAM_STRING] = "string", [MBS_PARAM_PATH] = "path",         [MBS_PARAM_ENUM] = "enum",
    [MBS_PARAM_SIZE] = "size",     [MBS_PARAM_DURATION] = "duration", [MBS_PARAM_LIST] = "list",
    [MBS_PARAM_PATHS] = "paths"};

static const char *type_in(const char *const *names, int32_t type) {
    return type >= MBS_PARAM_BOOL && type <= MBS_PARAM_PATHS ? names[type] : "unknown type";
}

static int is_list(const mbs_param *p) {
    return p->type == MBS_PARAM_LIST || p->type == MBS_PARAM_PATHS;
}

static void put_range(const mbs_param *p, mbs_buf *out) {
    mbs_buf_putc(out, ' ');
    mbs_value_put_bound(out, p->min);
    if (p->max >= 9.2e18) {
        mbs_buf_puts(out, " or more");
    } else if (p->max > p->min) {
        mbs_buf_puts(out, "..");
        mbs_value_put_bound(out, p->max);
    }
    mbs_buf_puts(out, is_list(p) ? " items" : "");
}

void mbs_param_takes(const mbs_param *p, mbs_buf *out) {
    if (p->type == MBS_PARAM_ENUM) {
        mbs_words_list(p->words, out);
    } else {
        mbs_buf_puts(out, type_in(type_words, p->type));
    }
    if (p->flags & MBS_PARAM_F_RANGE) {
        put_range(p, out);
    }
    if (p->unit) {
        mbs_buf_printf(out, " %s", p->unit);
    }
    if (p->words && p->type != MBS_PARAM_ENUM) {
        mbs_buf_puts(out, ", or ");
        mbs_words_list(p->words, out);
    }
}

/* The help of a row ends with ", e.g. VALUE" where its author gives an example. */
static const char *told_example(const mbs_param *p, size_t *help_len) {
    static const char mark[] = ", e.g. ";
    const char *found = NULL;
    for (const char *c = p->help; (c = strstr(c, mark)) != NULL; c += sizeof mark - 1) {
        found = c;
    }
    *help_len = found ? (size_t)(found - p->help) : strlen(p->help);
    return found ? found + sizeof mark - 1 : NULL;
}

/* Without one, a word other than the default is an example; 0: there is none. */
static int put_example(const mbs_param *p, mbs_buf *out) {
    size_t len = 0;
    const char *told = told_example(p, &len);
    if (told) {
        mbs_buf_puts(out, told);
        return 1;
    }
    if (p->type == MBS_PARAM_BOOL) {
        mbs_buf_puts(out, p->def && strcmp(p->def, "true") == 0 ? "false" : "true");
        return 1;
    }
    const char *word = NULL;
    for (int w = 0; p->words && (word = mbs_words_at(p->words, w, &len)) != NULL; w++) {
        if (!p->def || strlen(p->def) != len || strncmp(word, p->def, len) != 0) {
            mbs_buf_append(out, word, len);
            return 1;
        }
    }
    return 0;
}

static void example_line(const mbs_param *p, int column, mbs_buf *out) {
    mbs_buf value = MBS_BUF_INIT;
    if (put_example(p, &value)) {
        mbs_buf_printf(out, "%*se.g. %s: %s\n", column, "", p->key, mbs_buf_str(&value));
    }
    out->failed |= value.failed;
    mbs_buf_free(&value);
}

static size_t widest_key(const mbs_param *rows, uint32_t n) {
    size_t widest = 8;
    for (uint32_t i = 0; i < n; i++) {
        size_t len = strlen(mbs_param_row(rows, n, i)->key);
        widest = len > widest ? len : widest;
    }
    return widest;
}

void mbs_params_text(const mbs_param *rows, uint32_t n, mbs_buf *out) {
    int column = (int)widest_key(rows, n) + 4;
    for (uint32_t i = 0; i < n; i++) {
        const mbs_param *p = mbs_param_row(rows, n, i);
        mbs_buf_printf(out, "  %-*s", column - 2, p->key);
        mbs_param_takes(p, out);
        if (p->flags & MBS_PARAM_F_REQUIRED) {
            mbs_buf_puts(out, " (required)");
        } else if (p->def) {
            mbs_buf_printf(out, " (default: %s)", p->def);
        }
        size_t len = 0;
        (void)told_example(p, &len);
        mbs_buf_printf(out, "%s\n%*s%.*s\n", p->flags & MBS_PARAM_F_DEPRECATED ? " (deprecated)" : "", column, "",
                       (int)len, p->help);
        example_line(p, column, out);
    }
}

void mbs_json_member(mbs_buf *out, const char *key, const char *value) {
    mbs_buf_printf(out, ", \"%s\": ", key);
    if (value) {
        mbs_json_put_string(out, value);
    } else {
        mbs_buf_puts(out, "null");
    }
}

static void help_json(const mbs_param *p, mbs_buf *out) {
    mbs_buf text = MBS_BUF_INIT;
    size_t len = 0;
    (void)told_example(p, &len);
    mbs_buf_append(&text, p->help, len);
    mbs_json_member(out, "help", mbs_buf_str(&text));
    out->failed |= text.failed;
    mbs_buf_free(&text);
    text = (mbs_buf)MBS_BUF_INIT;
    mbs_json_member(out, "example", put_example(p, &text) ? mbs_buf_str(&text) : NULL);
    out->failed |= text.failed;
    mbs_buf_free(&text);
}

void mbs_params_json(const mbs_param *rows, uint32_t n, mbs_buf *out) {
    mbs_buf_putc(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        const mbs_param *p = mbs_param_row(rows, n, i);
        mbs_buf_printf(out, "%s{\"key\": ", i ? ", " : "");
        mbs_json_put_string(out, p->key);
        mbs_json_member(out, "type", type_in(type_names, p->type));
        mbs_buf_printf(out, ", \"required\": %s", p->flags & MBS_PARAM_F_REQUIRED ? "true" : "false");
        mbs_json_member(out, "default", p->def);
        if (p->flags & MBS_PARAM_F_RANGE) {
            mbs_buf_puts(out, ", \"min\": ");
            mbs_json_put_double(out, p->min);
            mbs_buf_puts(out, ", \"max\": ");
            mbs_json_put_double(out, p->max);
        }
        if (p->words) {
            size_t len = 0;
            const char *word;
            mbs_buf_puts(out, ", \"words\": [");
            for (int w = 0; (word = mbs_words_at(p->words, w, &len)) != NULL; w++) {
                mbs_buf_printf(out, "%s\"%.*s\"", w ? ", " : "", (int)len, word);
            }
            mbs_buf_putc(out, ']');
        }
        mbs_json_member(out, "unit", p->unit);
        mbs_buf_printf(out, ", \"deprecated\": %s", p->flags & MBS_PARAM_F_DEPRECATED ? "true" : "false");
        help_json(p, out);
        mbs_buf_putc(out, '}');
    }
    mbs_buf_putc(out, ']');
}

static void line(mbs_buf *out, const char *name, const char *value) {
    if (value) {
        mbs_buf_printf(out, "  %-10s ", name);
        mbs_report_escaped(out, value);
        mbs_buf_putc(out, '\n');
    }
}

/* How the stage looks in a pipeline, with what it cannot do without. */
static void in_pipeline(const mbs_descriptor *d, mbs_buf *out) {
    mbs_buf_printf(out, "  %-10s %s: {plugin: %s", "pipeline", mbs_kind_name(d->kind), d->id);
    for (uint32_t i = 0; i < d->n_params; i++) {
        const mbs_param *p = mbs_param_row(d->params, d->n_params, i);
        if (p->flags & MBS_PARAM_F_REQUIRED) {
            mbs_buf_printf(out, ", %s: ...", p->key);
        }
    }
    mbs_buf_puts(out, "}\n");
}

void mbs_descriptor_text(const mbs_descriptor *d, const char *path, const char *library, mbs_buf *out) {
    mbs_buf_printf(out, "%s '%s' %s: %s\n", mbs_kind_name(d->kind), d->id, d->version, d->summary);
    line(out, "takes", d->accepts && strcmp(d->accepts, "*") == 0 ? "anything" : d->accepts);
    line(out, "gives", d->produces);
    line(out, "decodes to", d->decodes);
    line(out, "suffixes", d->suffixes);
    in_pipeline(d, out);
    line(out, "licence", d->licence);
    line(out, "library", library);
    line(out, "file", path);
    if (d->n_params > 0) {
        mbs_buf_puts(out, "\nparameters:\n");
        mbs_params_text(d->params, d->n_params, out);
    }
}

void mbs_descriptor_json(const mbs_descriptor *d, const char *path, const char *library, mbs_buf *out) {
    mbs_buf_printf(out, "{\"kind\": \"%s\"", mbs_kind_name(d->kind));
    mbs_json_member(out, "id", d->id);
    mbs_json_member(out, "version", d->version);
    mbs_json_member(out, "licence", d->licence);
    mbs_json_member(out, "summary", d->summary);
    mbs_json_member(out, "accepts", d->accepts);
    mbs_json_member(out, "produces", d->produces);
    mbs_json_member(out, "decodes", d->decodes);
    mbs_json_member(out, "suffixes", d->suffixes);
    mbs_json_member(out, "library", library);
    mbs_json_member(out, "path", path);
    mbs_buf_puts(out, ", \"params\": ");
    mbs_params_json(d->params, d->n_params, out);
    mbs_buf_putc(out, '}');
}
