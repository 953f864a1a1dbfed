/* mambaseq merge PART... */
#include "cli/cli.h"
#include "run/run.h"

int mbs_cmd_merge(const mbs_opt_values *v) {
    mbs_run_options o = {.parts = v->operands, .n_parts = v->n_operands};
    return mbs_cli_run(&o, v);
}
