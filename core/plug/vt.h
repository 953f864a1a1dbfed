/*
 * vt.h - what the three function tables have in common, so that the rest asks by meaning and not by kind.
 */
#ifndef MBS_PLUG_VT_H
#define MBS_PLUG_VT_H

#include "mambaseq/plugin.h"

/* Whether every function that its kind must have is there; else *missing is the name of one. */
int mbs_vt_complete(const mbs_descriptor *d, const char **missing);

typedef mbs_status (*mbs_vt_create_fn)(const mbs_host *host, const mbs_params *params, void **self);
typedef mbs_status (*mbs_vt_close_fn)(void *self);
typedef void (*mbs_vt_destroy_fn)(void *self);
typedef const void *(*mbs_vt_extension_fn)(void *self, const char *id);

mbs_vt_create_fn mbs_vt_create(const mbs_descriptor *d);
mbs_vt_close_fn mbs_vt_close(const mbs_descriptor *d);
mbs_vt_destroy_fn mbs_vt_destroy(const mbs_descriptor *d);
mbs_vt_extension_fn mbs_vt_extension(const mbs_descriptor *d); /* may be NULL */

#endif
