/*
 * hub.h - `hf:ORG/NAME`: a model in the local cache of Hugging Face. Nothing is downloaded.
 *
 * The cache is $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub.
 * refs/main names the folder below snapshots/; `hf:ORG/NAME@REV` takes another ref, or the folder of that commit.
 */
#ifndef MBS_BASE_HUB_H
#define MBS_BASE_HUB_H

#include "base/err.h"

/* Begins with "hf:". */
int mbs_hub_is(const char *path);
/* The folder of a name that begins with "hf:" (mbs_free); NULL where the cache has none, or without memory. */
char *mbs_hub_find(const char *path);
/* The way back: "hf:ORG/NAME" for a folder of the cache's refs/main, with @COMMIT for another (mbs_free); NULL where
 * the path is not of the cache. */
char *mbs_hub_shown(const char *path);
/* MBS_ERR_NOINPUT with the command that downloads it, for a name that was not found. */
mbs_status mbs_hub_absent(const char *path, mbs_err *err);
/* Whether one of the models that come along has this name, as in share:models/NAME. */
int mbs_hub_comes_along(const char *name);
/* MBS_OK where the folder of a model is there, of the cache or not; else MBS_ERR_NOINPUT with what to do. */
mbs_status mbs_hub_need(const char *folder, mbs_err *err);

#endif
