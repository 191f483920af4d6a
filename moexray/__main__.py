"""`python -m moexray` is the command `moexray`."""

from moexray.cli.main import main

main()
