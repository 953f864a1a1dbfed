/*
 * plugin_text.h - descriptors and parameter tables as words and as JSON.
 */
#ifndef MBS_CLI_PLUGIN_TEXT_H
#define MBS_CLI_PLUGIN_TEXT_H

#include "base/buf.h"
#include "mambaseq/plugin.h"

/* A table of parameters for people, and as a JSON array. */
void mbs_params_text(const mbs_param *rows, uint32_t n_rows, mbs_buf *out);
void mbs_params_json(const mbs_param *rows, uint32_t n_rows, mbs_buf *out);
/* What a parameter takes: "whole number 0..1e12 bases, or all". */
void mbs_param_takes(const mbs_param *row, mbs_buf *out);

/* A descriptor's own facts with its parameters. `path` and `library` may be NULL. */
void mbs_descriptor_text(const mbs_descriptor *desc, const char *path, const char *library, mbs_buf *out);
void mbs_descriptor_json(const mbs_descriptor *desc, const char *path, const char *library, mbs_buf *out);
/* `, "key": "value"` or null, for JSON objects built by hand; the first member is written by the caller. */
void mbs_json_member(mbs_buf *out, const char *key, const char *value);

#endif
