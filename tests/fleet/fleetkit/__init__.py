# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario's tests share: rollouts, what gateways are, and a client's flows."""
