/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernels are norms by their names, and who makes them. Names as seen: triton_per_fused_native_layer_norm_0 and
 * triton_red_fused__fused_rms_norm_1 (torch.compile), kernel_cutlass_kernel_torch_vendorquackrmsnormRMSNorm_object_at_
 * and more (quack of PyTorch 2.15, by nvidia-cutlass-dsl 4.6.2), _layer_norm_fwd_1pass_kernel (flash-attn's Triton).
 */
#include "hooks/targets/match.h"

#include <string.h>

static const char *const words[] = {"layernorm", "rmsnorm"};

static const struct {
    const char *part, *maker;
} makers[] = {
    {"quack", "quack"},      /* in torch/_vendor, and on its own */
    {"triton_", "inductor"}, /* what torch.compile names after the operators that it fused */
    {"", "other"},
};

/* Does the name go on with the word, in any case, with or without underscores? */
static bool begins_with_word(const char *name, const char *word)
{
    for (; *name && *word; name++) {
        if (*name == '_')
            continue;
        if ((*name | 0x20) != *word++)
            return false;
    }
    return !*word;
}

const char *fuseln_targets_norm_maker(const char *symbol)
{
    bool found = false;
    size_t maker = 0;

    for (const char *at = symbol; *at && !found; at++)
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !found; i++)
            found = begins_with_word(at, words[i]);
    while (found && !strstr(symbol, makers[maker].part))
        maker++;
    return found ? makers[maker].maker : NULL;
}
