"""The command line, one command a file: read options, call the library, print."""
