#include "run/start.h"

int32_t mbs_start_of_label(const mbs_model *m, const char *label) {
    int32_t id = label ? mbs_model_start(m, label) : -1;
    return id >= 0 ? id : mbs_model_start(m, NULL);
}

mbs_status mbs_start_session(mbs_session *s, const mbs_model *m, const char *label, mbs_err *err) {
    const mbs_run_out none = {.layer = -1};
    int32_t id = mbs_start_of_label(m, label);
    mbs_status st = mbs_session_reset(s, err);
    return st == MBS_OK && id >= 0 ? mbs_session_run(s, &id, 1, &none, err) : st;
}
