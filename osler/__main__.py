"""`python -m osler` is the command `osler`: torchrun starts modules."""

from osler.cli import main

if __name__ == "__main__":
    main()
