# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo and the lab's tests share: hosts, playbooks, clients, ways, traffic, snapshots."""
