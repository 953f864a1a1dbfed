/*
 * glob.h - a growing list of file names, with globs expanded in byte order whatever the locale is.
 */
#ifndef MBS_PLUG_GLOB_H
#define MBS_PLUG_GLOB_H

#include <stddef.h>

#include "base/buf.h"
#include "mambaseq/status.h"

typedef struct mbs_paths {
    char **items;
    size_t n;
    size_t cap;
} mbs_paths;

/* `resolve`: share: is looked up. `expand`: a text with * ? or [ that is no file itself stands for its sorted matches;
 * MBS_ERR_NOINPUT and words in `why` ("is 'a*.fa': no file matches it") where there is none. */
mbs_status mbs_paths_add(mbs_paths *p, const char *text, int resolve, int expand, mbs_buf *why);
void mbs_paths_free(mbs_paths *p);

#endif
