"""`moexray report`: a page to explore an analysis in, one file that needs no network, no server and no storage."""
