"""Results as tables of plain text, which a terminal, Markdown or a web page can show."""
