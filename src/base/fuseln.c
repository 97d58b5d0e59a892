/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of fuseln.h, one function for each column of its X-macros.
 */
#include "base/fuseln.h"

/* Defines FUNCTION(enum TYPE value), which returns the column of LIST that COLUMN picks. */
#define NAMES(function, type, list, column, count)                         \
    const char *function(enum type value)                                  \
    {                                                                      \
        static const char *const names[] = {list(column)};                 \
        return (size_t)value < (size_t)(count) ? names[value] : "unknown"; \
    }
#define SECOND_OF_2(id, second)        second,
#define SECOND_OF_3(id, second, third) second,
#define THIRD_OF_3(id, second, third)  third,

NAMES(fuseln_mode_name, fuseln_mode, FUSELN_MODES, SECOND_OF_2, FUSELN_MODE_COUNT)
NAMES(fuseln_op_name, fuseln_op, FUSELN_OPS, SECOND_OF_3, FUSELN_OP_COUNT)
NAMES(fuseln_op_pass, fuseln_op, FUSELN_OPS, THIRD_OF_3, FUSELN_OP_COUNT)
NAMES(fuseln_dtype_name, fuseln_dtype, FUSELN_DTYPES, SECOND_OF_3, FUSELN_DTYPE_COUNT)
NAMES(fuseln_boundary_name, fuseln_boundary, FUSELN_BOUNDARIES, SECOND_OF_2, FUSELN_BOUNDARY_COUNT)
NAMES(fuseln_runtime_name, fuseln_runtime, FUSELN_RUNTIMES, SECOND_OF_3, FUSELN_RUNTIME_COUNT)
NAMES(fuseln_runtime_words, fuseln_runtime, FUSELN_RUNTIMES, THIRD_OF_3, FUSELN_RUNTIME_COUNT)
NAMES(fuseln_verdict_key, fuseln_verdict, FUSELN_VERDICTS, SECOND_OF_3, FUSELN_VERDICT_COUNT)
NAMES(fuseln_verdict_text, fuseln_verdict, FUSELN_VERDICTS, THIRD_OF_3, FUSELN_VERDICT_COUNT)
NAMES(fuseln_pairing_key, fuseln_pairing, FUSELN_PAIRINGS, SECOND_OF_3, FUSELN_PAIRING_COUNT)
NAMES(fuseln_pairing_text, fuseln_pairing, FUSELN_PAIRINGS, THIRD_OF_3, FUSELN_PAIRING_COUNT)
