"""`python -m tminus` and the `tminus` command."""

import warnings

# cryptography announces the end of finite-field Diffie-Hellman at each use; RouterOS 6 speaks nothing else, and the
# dependency is capped below the version that drops it.
warnings.filterwarnings("ignore", message="Diffie-Hellman over finite fields")

from tminus.cli import main  # noqa: E402 - the filter comes first

__all__ = ["main"]

if __name__ == "__main__":
    main()
