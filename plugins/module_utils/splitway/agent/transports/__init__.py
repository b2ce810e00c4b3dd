# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent does about WebSockets: which way a tunnel takes, which server carries it, which mode is in force."""
