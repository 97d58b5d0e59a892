/* SPDX-License-Identifier: Apache-2.0 */
/* What registers.c shares: its observers write there, its program reads it. */
long observed[26];
