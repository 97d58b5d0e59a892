# SPDX-License-Identifier: Apache-2.0
"""fuseln is a preload library and a command; no program imports this package."""
