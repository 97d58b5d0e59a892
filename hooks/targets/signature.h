/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mangled name tells of a kernel's parameters: how many they are, which are pointers, and which of these the
 * kernel can only read through. Names by the Itanium C++ ABI, as nvcc writes them. Pure; no allocation.
 */
#ifndef FUSELN_SIGNATURE_H
#define FUSELN_SIGNATURE_H

#include "base/target.h"

struct fuseln_parameter {
    enum fuseln_parameter_kind {
        FUSELN_PARAMETER_UNKNOWN, /* a class, or what this parser does not read */
        FUSELN_PARAMETER_VALUE,   /* of `type` */
        FUSELN_PARAMETER_POINTER,
        FUSELN_PARAMETER_CONST_POINTER,
    } kind;
    enum fuseln_arg_type type; /* FUSELN_ARG_TYPE_COUNT: one that a row has no word for */
};

/* How many parameters the name has; -1 where it does not tell, as one of extern "C", or where the parser does not know
 * a part of it. It never takes a pointer for const that is not. */
int fuseln_signature_read(const char *symbol, size_t length, struct fuseln_parameter ret_parameters[FUSELN_ARGS_MAX]);

#endif
