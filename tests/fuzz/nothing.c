/* SPDX-License-Identifier: Apache-2.0 */
/* Can this clang make a fuzz target? */
int LLVMFuzzerTestOneInput(const unsigned char *bytes, unsigned long size);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, unsigned long size)
{
    return (void)bytes, (void)size, 0;
}
