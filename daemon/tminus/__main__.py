"""`python -m tminus` and the `tminus` command."""

from tminus.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
