# SPDX-License-Identifier: GPL-3.0-or-later
"""How secrets are kept: in Ansible's Vault, open, or by a command of the operator's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Optional

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, match_encrypt_secret

from .model import Hidden, Kept, Keys, KeysError, Sealed, Secret

VAULT, PLAIN, COMMAND = "vault", "plain", "command"
STORES = (VAULT, PLAIN, COMMAND)
PATIENCE = 60  # seconds for the operator's command

Seal = Callable[[str, str], Sealed]
"""The words of a secret, as in `clients alice private_key`, and the secret → what stands in the file."""

NO_VAULT = (
    "there is no Vault secret to encrypt the keys with: run with --ask-vault-pass or --vault-password-file (or set "
    "vault_password_file in ansible.cfg); splitway_keys_store says where else keys may go"
)


def in_vault(secrets: Any, vault_id: Optional[str]) -> Seal:
    """Return what seals for the run's Vault; `vault_id`: one of several secrets. Raises KeysError without one."""
    if not secrets:
        raise KeysError(NO_VAULT)
    try:
        name, secret = match_encrypt_secret(secrets, encrypt_vault_id=vault_id)
    except AnsibleError as error:
        raise KeysError(str(error)) from error
    vault = VaultLib(secrets)

    def seal(_words: str, value: str) -> Sealed:
        return Sealed(vault.encrypt(value, secret, vault_id=name).decode(), vaulted=True)

    return seal


def openly(_words: str, value: str) -> Sealed:
    """Return a secret as it is."""
    return Sealed(value)


def by_command(argv: Sequence[str]) -> Seal:
    """Return what hands each secret to a command, on its standard input, and keeps what that prints in its place."""
    if not argv:
        raise KeysError("splitway_keys_command: which command keeps the secrets? A list, its first word the program")

    def seal(words: str, value: str) -> Sealed:
        what = f"splitway_keys_command ({argv[0]}) for {words}"
        try:
            done = subprocess.run(
                [*argv, *words.split(" ")], input=value, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
            raise KeysError(f"{what}: {type(error).__name__}") from None  # its text may have the arguments
        said = done.stdout.strip()
        if done.returncode:
            raise KeysError(f"{what} ended with {done.returncode}: {done.stderr.replace(value, '…').strip()[-500:]}")
        if not said or "\n" in said:
            raise KeysError(f"{what} is to print one line: what stands for the secret, as a template with a lookup")
        return Sealed(said)

    return seal


def sealed(kept: Kept, seal: Seal) -> dict[str, dict[str, Keys]]:
    """Return the keys with every secret sealed; what was sealed before stays as it is. Raises KeysError."""
    return {
        kind: {name: _sealed(keys, f"{kind} {name}", seal) for name, keys in entries.items()}
        for kind, entries in kept.items()
    }


def _sealed(keys: Keys, whose: str, seal: Seal) -> Keys:
    def one(value: Optional[Hidden], name: str) -> Optional[Hidden]:
        return seal(f"{whose} {name}", value.value) if isinstance(value, Secret) else value

    before = keys.previous
    if before is not None:
        before = replace(before, preshared_key=one(before.preshared_key, "previous_preshared_key"))
    return replace(
        keys,
        private_key=one(keys.private_key, "private_key"),
        preshared_key=one(keys.preshared_key, "preshared_key"),
        previous=before,
    )
