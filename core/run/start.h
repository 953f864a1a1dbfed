/*
 * start.h - the id that a record begins with, where the model was trained to see one (model/start.h).
 */
#ifndef MBS_RUN_START_H
#define MBS_RUN_START_H

#include "model/model.h"

/* That of the label's class; of none in particular where the label is NULL or no class. -1: there is none. */
int32_t mbs_start_of_label(const mbs_model *m, const char *label);
/* Resets a session and feeds it that id. */
mbs_status mbs_start_session(mbs_session *s, const mbs_model *m, const char *label, mbs_err *err);

#endif
