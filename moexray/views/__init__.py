"""Results as tables, sentences and figures; nothing is computed here."""
