# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network without UDP around the gateway, and who uses its proxies."""
