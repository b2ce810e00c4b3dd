# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in the documents: found (`blocks`), and where each is run (`places`)."""
