"""One statistic a file: plain functions over arrays that return frozen dataclasses."""
